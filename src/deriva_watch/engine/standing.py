"""Does the server still hold what was uploaded? Asked anew, before anything is removed here."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.objects import ObjectVersion
from deriva_watch.core.records import FileRecord
from deriva_watch.core.removal import difference
from deriva_watch.engine.patience import Patience
from deriva_watch.engine.ports import Catalog, ObjectStore, Row


@dataclass(frozen=True, slots=True)
class Standing:
    """Asks for the rows, the links and the object versions of files."""

    catalog: Catalog
    store: ObjectStore
    patience: Patience

    def differences(
        self, model: CatalogModel, files: Sequence[FileRecord], execution: str | None
    ) -> dict[str, str]:
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
        found: dict[str, str] = {}
        for table, group in groups.items():
            rows = self._rows(table, group) if table in model.tables else {}
            unlinked = self._unlinked(model, table, rows, execution)
            for file in group:
                rid = file.rid or ""
                if why := difference(file, rows.get(rid), self._head(file)):
                    found[file.path] = why
                elif rid in unlinked:
                    found[file.path] = f"row {rid} is not linked to Execution {execution} any more"
        return found

    def _rows(self, table: TableName, files: Iterable[FileRecord]) -> Mapping[str, Row]:
        rids = sorted({file.rid for file in files if file.rid})
        rows = self.patience(f"GET {table}", lambda: self.catalog.rows_with(table, "RID", rids))
        return {row["RID"]: row for row in rows}

    def _unlinked(
        self, model: CatalogModel, table: TableName, rids: Iterable[str], execution: str | None
    ) -> set[str]:
        """Return which rows lack the link; none where no table has such links."""
        executions = model.ml_table("Execution")
        pair = model.find_association(table, executions) if execution and executions else None
        missing = set(rids)
        if pair is None or not missing:
            return set()
        links = self.patience(
            f"GET {pair.table}",
            lambda: self.catalog.rows_with(pair.table, pair.own, sorted(missing)),
        )
        return missing - {link[pair.own] for link in links if link[pair.other] == execution}

    def _head(self, file: FileRecord) -> ObjectVersion | None:
        return self.patience("HEAD object", lambda: self.store.head(file.url or ""))
