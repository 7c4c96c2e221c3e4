"""Checks that the server still holds what was uploaded, before a local file is removed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.objects import ObjectVersion
from deriva_watch.core.records import FileRecord
from deriva_watch.core.removal.removal import differences
from deriva_watch.core.states import FileState
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, ObjectStore, Row

Heads = Callable[
    [Callable[[FileRecord], ObjectVersion | None], Iterable[FileRecord]],
    Iterable[ObjectVersion | None],
]


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """Checks the rows, links and object versions of files on the server.

    Attributes:
        each: Calls a function for each object: like `map`, or in a pool.
    """

    catalog: Catalog
    store: ObjectStore
    call_retry: CallRetry
    each: Heads = map

    def differences(
        self, model: CatalogModel, files: Sequence[FileRecord], execution: str | None
    ) -> dict[str, list[str]]:
        """Return how the server differs from what was uploaded for *files*.

        Args:
            model: The catalog's model.
            files: Files that have a table, a row and an object.
            execution: The RID of the Execution that they are linked to, if any.

        Returns:
            Sentences by path; a file without one may be removed. Raises the errors of calls.
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
        """Return those of the rows that exist, by RID."""
        wanted = sorted(set(rids))
        rows = self.call_retry(f"GET {table}", lambda: self.catalog.rows_with(table, "RID", wanted))
        return {row["RID"]: row for row in rows}

    def _links(
        self, model: CatalogModel, table: TableName, rids: Iterable[str], target: str
    ) -> dict[str, set[str]] | None:
        """Return the links of the rows, by RID; None if no table has such links."""
        other, wanted = model.ml_table(target), sorted(rids)
        pair = model.find_association(table, other) if other and wanted else None
        if pair is None:
            return None
        links = self.call_retry(
            f"GET {pair.table}", lambda: self.catalog.rows_with(pair.table, pair.own, wanted)
        )
        found: defaultdict[str, set[str]] = defaultdict(set)
        for link in links:
            found[link[pair.own]].add(link[pair.other])
        return found

    def _head(self, file: FileRecord) -> ObjectVersion | None:
        return self.call_retry("HEAD object", lambda: self.store.head(file.url or ""))


def _typed(files: Iterable[FileRecord]) -> bool:
    return any(file.types for file in files)


def _unlinked(
    file: FileRecord,
    execution: str | None,
    links: Mapping[str, set[str]] | None,
    types: Mapping[str, set[str]] | None,
) -> list[str]:
    """Return the missing links of a row; a row of another uploader has its own links."""
    if file.state is FileState.ELSEWHERE:
        return []
    rid, found = file.rid or "", []
    if execution and links is not None and execution not in links.get(rid, ()):
        found.append(f"row {rid} is no longer linked to Execution {execution}")
    if types is not None:
        missing = set(file.types or ()) - types.get(rid, set())
        found += [f"row {rid} no longer has the asset type {name}" for name in sorted(missing)]
    return found
