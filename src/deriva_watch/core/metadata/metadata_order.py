"""Find the column of each directory between a table and a file.

The released deriva-ml writes them in an order that differs from process to process, and `None` for
a missing value. So the order is inferred for each file separately: every order that makes a row of
the right types counts, and it is used only if all of them make the same row.

Source: trees of deriva-ml 1.17.10 and 1.24.0; their `asset_file_path` iterates over a set.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.json_text import read_json
from deriva_watch.core.model import Column, Table, TableName
from deriva_watch.core.values import check, same, value_from

MISSING: Final = "None"  # what the released deriva-ml writes for a missing value
MOST: Final = 6  # columns: with more, the orders are too many to go through
SHOWN: Final = 3  # rows shown in a sentence
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d.*", re.DOTALL)  # not a date without a time

Values = dict[str, str | None]


class Reference(NamedTuple):
    """The column that a foreign key refers to: it must contain the value."""

    table: TableName
    column: str


Known = Mapping[Reference, frozenset[str]]


class Reading(NamedTuple):
    """Values by column; and the columns in the order of the path, if that is not theirs."""

    values: Values
    inferred: tuple[str, ...] | None = None


class _Choice(NamedTuple):
    place: int
    value: str | None


_Row = tuple[_Choice, ...]  # one for each column


@dataclass(frozen=True)
class Directories:
    """The directories of one path.

    Attributes:
        table: The asset table.
        columns: Its metadata columns, sorted.
        segments: The directories, as they are written; as many as there are columns.
        in_order: The directories are known to be in the order of the columns.
    """

    table: Table
    columns: tuple[str, ...]
    segments: tuple[str, ...]
    in_order: bool = False

    def read(self, known: Known) -> Reading:
        """Return the values; *known* are the existing ones of those that `questions` asked for.

        Raises RefusedError if several rows are possible, or none.
        """
        if self._too_many:
            columns = f"{self.table.full_name} has {len(self.columns)} metadata columns"
            raise self._unclear(f"{columns}, too many to infer their order")
        found = self._rows(self._options)
        if len(found) > 1:
            found = self._rows(self._narrowed(known))
        if not found and not self._documented:  # the later error is about the documented order
            return Reading(dict(zip(self.columns, map(value_from, self.segments), strict=True)))
        if not found:
            raise self._unclear(f"in no order do they name rows that exist: {self._missing(known)}")
        if len(found) > 1:
            shown = "; or ".join(self._shown(row) for row in found[:SHOWN])
            more = ", and in other ways" if len(found) > SHOWN else ""
            raise self._unclear(f"they can be read as {shown}{more}")
        return self._reading(found[0])

    def questions(self) -> dict[Reference, set[str]]:
        """Return the values of which `read` must know whether they exist."""
        asked: dict[Reference, set[str]] = defaultdict(set)
        if not self._too_many and len(self._rows(self._options)) > 1:
            for column, choices in zip(self.columns, _possible(self._options), strict=True):
                for reference in references(self.table, column):
                    asked[reference].update(c.value for c in choices if c.value is not None)
        return asked

    @property
    def _too_many(self) -> bool:
        return len(self.columns) > MOST and not self.in_order and len(set(self.segments)) > 1

    @cached_property
    def _options(self) -> list[list[_Choice]]:
        """The directories that each column may have by its type; strict if the order is unknown."""
        strict = [self._choices(number, strict=not self.in_order) for number in self._numbers]
        if self.in_order or self._rows(strict):
            return strict
        return [self._choices(number, strict=False) for number in self._numbers]

    @property
    def _documented(self) -> bool:
        """Whether the documented order is possible by the types of the columns."""
        return all(
            any(choice.place == number for choice in choices)
            for number, choices in enumerate(self._options)
        )

    @property
    def _numbers(self) -> range:
        return range(len(self.columns))

    def _choices(self, number: int, *, strict: bool) -> list[_Choice]:
        column = self.table.column[self.columns[number]]
        # Its own place comes first, so that the documented order is found if it is possible.
        places = [number, *(p for p in self._numbers if p != number and not self.in_order)]
        return [
            _Choice(place, value)
            for place in places
            for value in _meanings(self.segments[place], referring=self._refers(column.name))
            if _fits(column, value, strict=strict)
        ]

    def _refers(self, column: str) -> bool:
        return bool(references(self.table, column))

    def _narrowed(self, known: Known) -> list[list[_Choice]]:
        """Return the options without values that refer to no existing row."""
        return [
            [choice for choice in choices if self._is_there(column, choice.value, known)]
            for column, choices in zip(self.columns, self._options, strict=True)
        ]

    def _is_there(self, column: str, value: str | None, known: Known) -> bool:
        return value is None or all(
            value in known[reference]
            for reference in references(self.table, column)
            if reference in known
        )

    def _rows(self, options: Sequence[Sequence[_Choice]]) -> list[_Row]:
        """Return different rows, at most one more than are shown."""
        found: list[_Row] = []
        for row in _orders(options, self.segments) if all(options) else ():
            if not any(self._same(row, other) for other in found):
                found.append(row)
            if len(found) > SHOWN:
                break
        return found

    def _same(self, one: _Row, other: _Row) -> bool:
        columns = [self.table.column[name] for name in self.columns]
        return all(same(c, a.value, b.value) for c, a, b in zip(columns, one, other, strict=True))

    def _reading(self, row: _Row) -> Reading:
        values = {c: choice.value for c, choice in zip(self.columns, row, strict=True)}
        if all(self.segments[c.place] == self.segments[n] for n, c in enumerate(row)):
            return Reading(values)
        column_at = {choice.place: c for c, choice in zip(self.columns, row, strict=True)}
        return Reading(values, tuple(column_at[place] for place in sorted(column_at)))

    def _shown(self, row: _Row) -> str:
        pairs = zip(self.columns, row, strict=True)
        return ", ".join(f"{c} = {choice.value}" for c, choice in pairs)

    def _missing(self, known: Known) -> str:
        """Return which values the catalog does not have, as a sentence."""
        asked = self.questions()
        absent = {
            r: sorted(asked[r] - known[r]) for r in asked if asked[r] - known.get(r, asked[r])
        }
        return "; ".join(f"{r.table} has no {', '.join(texts)}" for r, texts in absent.items())

    def _unclear(self, why: str) -> RefusedError:
        said, order = "/".join(self.segments), "/".join(self.columns)
        return RefusedError(
            f"the metadata in {said} is ambiguous",
            why,
            f"Use `asset_file_path`; or, if all directories are in the order {order}, "
            'set [files] metadata_order = "sorted", then run `deriva-watch retry RID`.',
        )


def read_columns(text: str) -> tuple[str, ...]:
    """Return the columns that a `.columns.json` names; raise ValueError if it is invalid."""
    document = read_json(text)
    columns = document.get("columns") if isinstance(document, dict) else None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError('it is not {"columns": […]}')
    return tuple(columns)


def columns_text(columns: Sequence[str]) -> str:
    """Return the content of the file that `read_columns` reads."""
    return json.dumps({"columns": list(columns)}, ensure_ascii=False)


def references(table: Table, column: str) -> list[Reference]:
    """Return the columns that a column refers to by itself."""
    return [
        Reference(key.target, key.target_columns[0])
        for key in table.foreign_keys
        if key.columns == (column,)
    ]


def _meanings(segment: str, *, referring: bool) -> list[str | None]:
    """Return the values that a directory can mean. A referenced row may have the name `None`."""
    if segment != MISSING:
        return [value_from(segment)]
    return [None, MISSING] if referring else [None]


@lru_cache(maxsize=1 << 16)  # most files of a directory share most of their values
def _fits(column: Column, value: str | None, *, strict: bool) -> bool:
    if strict and value is not None and column.type.startswith("timestamp"):
        strict = _MOMENT.fullmatch(value) is not None
        if not strict:
            return False
    try:
        check(column, value)
    except ValueError:
        return False
    return True


def _orders(
    options: Sequence[Sequence[_Choice]], segments: Sequence[str], row: _Row = ()
) -> Iterator[_Row]:
    """Yield every assignment of the columns to different places."""
    if len(row) == len(options):
        yield row
        return
    used, tried = {choice.place for choice in row}, set()
    for choice in options[len(row)]:
        what = segments[choice.place], choice.value  # equal directories make equal rows
        if choice.place not in used and what not in tried:
            tried.add(what)
            yield from _orders(options, segments, (*row, choice))


def _possible(options: Sequence[Sequence[_Choice]]) -> list[list[_Choice]]:
    """Return the options without the places that are the only option of another column."""
    left = [list(choices) for choices in options]
    for _ in left:
        for number, choices in enumerate(left):
            if len(places := {choice.place for choice in choices}) == 1:
                for other in left[:number] + left[number + 1 :]:
                    other[:] = [choice for choice in other if choice.place not in places]
    return left
