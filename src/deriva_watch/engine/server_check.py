"""Does the server still hold what was uploaded? Asked anew, before anything is removed here."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.objects import ObjectVersion
from deriva_watch.core.records import FileRecord
from deriva_watch.core.removal.removal import differences
from deriva_watch.core.states import FileState
from deriva_watch.engine.call_retry import Patience
from deriva_watch.engine.ports import Catalog, ObjectStore, Row

Heads = Callable[
    [Callable[[FileRecord], ObjectVersion | None], Iterable[FileRecord]],
    Iterable[ObjectVersion | None],
]


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """Asks for the rows, the links and the object versions of files.

    Attributes:
        each: Asks for the objects: one after the other, or as a pool does.
    """

    catalog: Catalog
    store: ObjectStore
    patience: Patience
    each: Heads = map

    def differences(
        self, model: CatalogModel, files: Sequence[FileRecord], execution: str | None
    ) -> dict[str, list[str]]:
        """Say of which *files* the server does not hold what was uploaded, and in what.

        Args:
            model: The catalog's model.
            files: Files that have a table, a row and an object.
            execution: The RID of the Execution that they are linked to, if any.

        Returns:
            Sentences by path; a file without one may be removed. Raises as every call does.
        """
        groups: defaultdict[TableName, list[FileRecord]] = defaultdict(list)
        for file in files:
            groups[TableName.parse(file.table or "")].append(file)
        found: dict[str, list[str]] = {}
        for table, group in groups.items():
            rids = [file.rid for file in group if file.rid]
            rows = self.rows(table, rids) if table in model.tables else {}
            links = self._links(model, table, rows, "Execution")
            types = self._links(model, table, rows, "Asset_Type") if _typed(group) else None
            for file, there in zip(group, self.each(self._head, group), strict=True):
                row = rows.get(file.rid or "")
                why = list(differences(file, row, there))
                if row is not None:
                    why += _unlinked(file, execution, links, types)
                if why:
                    found[file.path] = why
        return found

    def rows(self, table: TableName, rids: Iterable[str]) -> Mapping[str, Row]:
        """Return those rows of a table that are there, by RID."""
        wanted = sorted(set(rids))
        rows = self.patience(f"GET {table}", lambda: self.catalog.rows_with(table, "RID", wanted))
        return {row["RID"]: row for row in rows}

    def _links(
        self, model: CatalogModel, table: TableName, rids: Iterable[str], target: str
    ) -> dict[str, set[str]] | None:
        """Return what the rows are linked to, by RID; None where no table has such links."""
        other, wanted = model.ml_table(target), sorted(rids)
        pair = model.find_association(table, other) if other and wanted else None
        if pair is None:
            return None
        links = self.patience(
            f"GET {pair.table}", lambda: self.catalog.rows_with(pair.table, pair.own, wanted)
        )
        found: defaultdict[str, set[str]] = defaultdict(set)
        for link in links:
            found[link[pair.own]].add(link[pair.other])
        return found

    def _head(self, file: FileRecord) -> ObjectVersion | None:
        return self.patience("HEAD object", lambda: self.store.head(file.url or ""))


def _typed(files: Iterable[FileRecord]) -> bool:
    return any(file.types for file in files)


def _unlinked(
    file: FileRecord,
    execution: str | None,
    links: Mapping[str, set[str]] | None,
    types: Mapping[str, set[str]] | None,
) -> list[str]:
    """Say which links of a row are missing; another uploader's row has what that one gave it."""
    if file.state is FileState.ELSEWHERE:
        return []
    rid, found = file.rid or "", []
    if execution and links is not None and execution not in links.get(rid, ()):
        found.append(f"row {rid} is not linked to Execution {execution} any more")
    if types is not None:
        missing = set(file.types or ()) - types.get(rid, set())
        found += [f"row {rid} has not the asset type {name} any more" for name in sorted(missing)]
    return found
