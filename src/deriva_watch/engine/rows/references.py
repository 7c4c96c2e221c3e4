"""Replaces values that name a local file by the RID of the file's row."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from deriva_watch.core.model import TableName
from deriva_watch.core.plan.features import EXECUTION
from deriva_watch.core.records import FileRecord
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import RawRow
from deriva_watch.core.unicode_forms import ANOTHER_FORM, composed
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.spelling import Spelling
from deriva_watch.engine.unit_upload import UnitUpload


@dataclass(slots=True)
class References:
    """The files of one execution by asset table and name, and the rows that values refer to."""

    upload: UnitUpload
    catalog: Catalog
    call_retry: CallRetry
    _files: dict[tuple[str, str], list[FileRecord]] = field(init=False)
    _linked: dict[TableName, dict[str, list[Row]]] = field(default_factory=dict)
    _spelling: Spelling = field(init=False)

    def __post_init__(self) -> None:
        """Note the files, including deleted ones, whose rows still exist."""
        self._files = defaultdict(list)
        for record in self.upload.records.values():
            self._files[str(record.table), composed(_name(record.path))].append(record)
        self._spelling = Spelling(self._rows_with, keys=True)

    def respell(self, plan: RowsPlan, rows: Sequence[Row]) -> None:
        """Change the values in *rows* that the catalog has in another Unicode form."""
        self._spelling.respell(plan.definition, rows, partial(self.upload.notice, plan.path))

    def rid(self, table: TableName, value: Any) -> str:
        """Return the RID of the row of *table* that *value* names.

        A value that is not a file name is taken as a RID.

        Raises:
            ValueError: There is no such file, it is not uploaded, or several files have its name.
        """
        text, name = str(value), _name(str(value))
        records = self._files.get((str(table), composed(name)), [])
        records = [record for record in records if _name(record.path) == name] or records
        if len(records) > 1:
            records = [record for record in records if self._is_at(record, text)] or records
        rids = sorted({record.rid for record in records if record.rid})
        if records and not rids:
            first = records[0]
            why = first.why or "it is not in the catalog yet"
            raise ValueError(f"{first.path}, which it names, is {first.state}: {why}")
        names = {_name(record.path) for record in records}
        if not records:
            rows = self._rows(table).get(composed(name), [])
            rows = [row for row in rows if row["Filename"] == name] or rows
            names, rids = {row["Filename"] for row in rows}, sorted(row["RID"] for row in rows)
        if len(rids) > 1:
            where = ", ".join(r.path for r in records) or ", ".join(rids)
            raise ValueError(f"several files are called {name!r} ({where}): give the path")
        if rids:
            if name not in names:
                self.upload.notice(str(table), f"rows name its files {ANOTHER_FORM}")
            return rids[0]
        if "/" in text:
            raise ValueError(f"no file {text!r} of this execution is in {table}")
        return text

    def _is_at(self, record: FileRecord, text: str) -> bool:
        asset = self.upload.assets.get(record.path)
        root = self.upload.disk.root.as_posix()
        paths = (record.path, *(asset.also if asset else ()))
        return any(composed(text) in {composed(p), composed(f"{root}/{p}")} for p in paths)

    def _rows(self, table: TableName) -> dict[str, list[Row]]:
        """Return the rows that are linked to the execution, by the composed names of files."""
        if table not in self._linked:
            self._linked[table] = self._read(table)
        return self._linked[table]

    def _read(self, table: TableName) -> dict[str, list[Row]]:
        model, found = self.upload.model, defaultdict[str, list[Row]](list)
        pair = model.find_association(table, EXECUTION) if EXECUTION in model.tables else None
        rid = self.upload.execution.links_to
        if pair is None or rid is None:
            return found
        links = self.call_retry(
            f"GET {pair.table}", lambda: self.catalog.rows_where(pair.table, {pair.other: rid})
        )
        for row in self._rows_with(table, "RID", [link[pair.own] for link in links]):
            found[composed(row["Filename"] or "")].append(row)
        return found

    def _rows_with(self, table: TableName, column: str, values: Iterable[Any]) -> list[Row]:
        return self.call_retry(
            f"GET {table}", lambda: self.catalog.rows_with(table, column, values)
        )


def values_of(plan: RowsPlan, references: References, row: RawRow) -> Row:
    """Return the values of *row* to send; ValueError if it cannot be sent."""
    values = plan.values(row)
    for column, table in plan.assets.items():
        if (value := values.get(column)) is not None:
            try:
                values[column] = references.rid(table, value)
            except ValueError as error:
                raise ValueError(f"column {column}: {error}") from None
    return values


def _name(path: str) -> str:
    return path.rpartition("/")[2]
