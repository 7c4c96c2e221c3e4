"""Spells values that refer to rows as these rows do, where only the Unicode form differs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.metadata_order import Reference, references
from deriva_watch.core.model import SYSTEM_COLUMNS, Table, TableName
from deriva_watch.core.unicode_forms import ANOTHER_FORM, respelled, with_forms
from deriva_watch.engine.ports import Row

_LONGEST: Final = 255  # characters of a value that is looked up

RowsWith = Callable[[TableName, str, Iterable[Any]], list[Row]]


@dataclass(slots=True)
class Spelling:
    """Asks the catalog, once for each value that is not plain ASCII.

    Attributes:
        rows_with: As of `engine.ports.Catalog`.
        keys: A column that is a key by itself refers to the rows of its own table.
    """

    rows_with: RowsWith
    keys: bool = False
    _asked: dict[Reference, set[str]] = field(default_factory=lambda: defaultdict(set))
    _found: dict[Reference, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def respell(self, table: Table, rows: Sequence[Row], tell: Callable[[str], None]) -> None:
        """Change the values in *rows* that refer to other rows; *tell* a sentence per column."""
        for column, reference in self._referring(table):
            telling = [row for row in rows if _is_telling(row.get(column))]
            other = self._spellings(reference, {row[column] for row in telling})
            changed = [row for row in telling if row[column] in other]
            for row in changed:
                row[column] = other[row[column]]
            if changed:
                tell(f"values of {column} are sent as {reference.table} has them, {ANOTHER_FORM}")

    def _referring(self, table: Table) -> Iterator[tuple[str, Reference]]:
        own = {next(iter(key)) for key in table.keys if len(key) == 1} if self.keys else set()
        for column in table.column.keys() - SYSTEM_COLUMNS:
            if found := references(table, column):
                yield column, found[0]
            elif column in own:
                yield column, Reference(table.full_name, column)

    def _spellings(self, reference: Reference, values: set[str]) -> dict[str, str]:
        """Return those of *values* that the catalog has in another form, each with that form."""
        if new := values - self._asked[reference]:
            try:
                rows = self.rows_with(reference.table, reference.column, with_forms(new))
            except RefusedError:  # we may not read them: the values stay as they are
                rows = []
            self._asked[reference] |= new
            self._found[reference] |= respelled(new, [str(r[reference.column]) for r in rows])
        return self._found[reference]


def _is_telling(value: Any) -> bool:
    return isinstance(value, str) and not value.isascii() and len(value) <= _LONGEST
