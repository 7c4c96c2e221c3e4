"""The plan for a table file: its table, and how a written row becomes a row of the catalog."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.json_text import read_json
from deriva_watch.core.model import SYSTEM_COLUMNS, Table, TableName
from deriva_watch.core.rows.table_files import Format, RawRow
from deriva_watch.core.values import check

DIGEST_BYTES: Final = 16
_DOCUMENTS: Final = {"json", "jsonb"}


@dataclass(frozen=True)
class RowsPlan:
    """One table file to upload.

    Attributes:
        entry: The file; for records of the workspace one that does not exist.
        definition: Its table.
        format: How the rows are written.
        left_out: Columns that the server fills, whatever the rows say.
        fill: Values by column for rows without them.
        assets: The asset table that a column refers to: its values may name local files.
        records: The rows, if there is no file.
        stages: Their numbers in deriva-ml's workspace.
    """

    entry: Entry
    definition: Table
    format: Format
    left_out: frozenset[str] = SYSTEM_COLUMNS
    fill: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, TableName] = field(default_factory=dict)
    records: tuple[RawRow, ...] = ()
    stages: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """Below the execution directory."""
        return self.entry.path

    @property
    def also(self) -> tuple[str, ...]:
        """Other paths of the same rows: none, as a link to a table file is a file of its own."""
        return ()

    @property
    def is_file(self) -> bool:
        """Whether there is a file: records of the workspace have none."""
        return self.format is not Format.RECORDS

    @property
    def table(self) -> TableName:
        """The table of the rows."""
        return self.definition.full_name

    def statement(self) -> str:
        """Return a digest of everything that affects the rows except the file."""
        records = [(dict(row.cells), row.recorded) for row in self.records]
        said = [self.table, self.format, sorted(self.left_out), self.fill, records]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def check_columns(self, given: Iterable[str]) -> None:
        """Raise RefusedError for columns that the table lacks: ERMrest would ignore them."""
        columns = self.definition.column
        if unknown := sorted(set(given) - columns.keys() - self.left_out):
            what = f"cannot upload {self.path}"
            why = f"{self.table} has no column {', '.join(map(repr, unknown))}"
            known = ", ".join(sorted(columns.keys() - self.left_out))
            raise RefusedError(what, why, f"Correct the names; it has {known}.")

    def ignored(self, given: Iterable[str]) -> list[str]:
        """Return those of the *given* columns that the server fills."""
        return sorted(set(given) & self.left_out)

    def values(self, row: RawRow) -> dict[str, Any]:
        """Return the values of *row* to send; raise ValueError with the column that is invalid.

        NULLs that are not required are left out: a column that must have a value then takes its
        default.
        """
        made: dict[str, Any] = {}
        for name, cell in row.cells.items():
            if name in self.left_out:
                continue
            column = self.definition.column.get(name)
            if column is None:
                raise ValueError(f"{self.table} has no column {name!r}")
            value = self.fill.get(name) if cell is None else cell
            if value is None and (column.has_default and not column.nullable):
                continue
            made[name] = self._value(name, value)
        for name, value in self.fill.items():
            made.setdefault(name, value)
        if missing := sorted(self._required - made.keys()):
            raise ValueError(f"column {missing[0]} must have a value")
        return made

    def _value(self, name: str, value: Any) -> Any:
        column = self.definition.column[name]
        if value is None:
            return check(column, None)
        if column.type.endswith("[]"):
            return _array(name, value, parse=self.format is Format.CSV)
        if column.type in _DOCUMENTS and self.format is not Format.CSV:
            return json.loads(json.dumps(value, allow_nan=False))
        return check(column, value)

    @cached_property
    def _required(self) -> frozenset[str]:
        """The columns that every row must have a value for."""
        needed = {c.name for c in self.definition.columns if not (c.nullable or c.has_default)}
        return frozenset(needed - self.left_out - self.fill.keys())

    def digest(self, row: RawRow) -> bytes:
        """Return a digest of the row's content."""
        said = [self.table, sorted(row.cells.items())]
        return hashlib.sha256(json.dumps(said).encode()).digest()[:DIGEST_BYTES]


def _array(name: str, value: Any, *, parse: bool) -> list[Any]:
    """Return a list; in CSV it is written as JSON text, as for ERMrest."""
    try:
        found = read_json(value) if parse else value
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise ValueError(f"{value!r} is not a JSON list for column {name}")  # noqa: TRY004  # as all
    return found
