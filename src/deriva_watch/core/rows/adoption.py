"""Is a row that is already in the catalog the row of this file?

The rule: same MD5, Filename and Length make a candidate; the metadata that the file gives decides.
NULL is no statement, on either side. Description, types and links never decide.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.core.model import SYSTEM_COLUMNS, Table
from deriva_watch.core.values import meaning, same

_PLAIN: Final = {"text", "markdown", "date", "boolean", "int2", "int4", "int8", "ermrest_curie"}
_LONGEST: Final = 100  # characters
_MOST: Final = 10  # columns: with the longest values a path of a few thousand bytes


@dataclass(frozen=True, slots=True)
class Adoption:
    """A row that says what the file says.

    Attributes:
        row: The row to take; it is never written to.
        rids: Of all rows that would have done, the oldest first; more than one is worth a notice.
    """

    row: Mapping[str, Any]
    rids: tuple[str, ...]


def adopt(
    table: Table,
    values: Mapping[str, Any],
    candidates: Iterable[Mapping[str, Any]],
    given_rid: str | None = None,
    held: Callable[[str], bool] = lambda _rid: False,
) -> Adoption | None:
    """Choose the row that *values* describe, or None where another asset must be made.

    Args:
        table: The asset table.
        values: Metadata by column, as the file gives them.
        candidates: Rows with the file's MD5, Filename and Length.
        given_rid: The RID that the file's row must have; a row with it goes before all others.
        held: Tells of an RID whether another file of ours stands for that row: it fits only if
            all is equal.
    """
    whole = sum(value is not None for value in values.values()), 0
    fits = [
        (fit, row)
        for row in candidates
        if (fit := _fit(table, values, row)) is not None and (not held(row["RID"]) or fit == whole)
    ]
    if not fits:
        return None
    exact = [row for _, row in fits if given_rid is not None and row["RID"] == given_rid]
    best = max(fit for fit, _ in fits)
    equals = exact or [row for fit, row in fits if fit == best]
    equals.sort(key=lambda row: rid_order(row["RID"]))
    return Adoption(equals[0], tuple(row["RID"] for row in equals))


def _fit(table: Table, values: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Count the given values that the row has and, below zero, those that it adds.

    None where it has another one. The larger, the better; a row that says neither more nor less
    has all that are given and adds none.
    """
    shared = added = 0
    for column, value in values.items():
        known = row.get(column)
        if known is None:
            continue
        if value is None:
            added += 1
        elif same(table.column[column], value, known):
            shared += 1
        else:
            return None
    return shared, -added


def edits(table: Table, values: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the *values* given that *row*, which was made of earlier ones, lacks."""
    return {
        column: value
        for column, value in values.items()
        if value is not None and not same(table.column[column], value, row.get(column))
    }


def contradictions(table: Table, values: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return the given columns of which *row* does not have the value; NULL says nothing.

    Unlike `differences` a value that *row* lacks counts: nobody would ever put it there.
    """
    return [
        column
        for column, value in values.items()
        if value is not None and not same(table.column[column], value, row.get(column))
    ]


def rid_order(rid: str) -> tuple[int, str]:
    """Sort RIDs by age: the sequence makes them longer, then larger."""
    return len(rid), rid


def said_by(key: Iterable[str], table: Table, values: Mapping[str, Any]) -> Hashable:
    """Return what the columns *key* of a row say, however they are written."""
    return tuple((name, meaning(table.column[name], values.get(name))) for name in key)


def natural_key(table: Table, row: Mapping[str, Any]) -> frozenset[str] | None:
    """Return a unique key that the row itself gives, or None: it needs a leased RID.

    All its columns are given, none is NULL (UNIQUE with NULL never conflicts), none is filled by
    the system.
    """
    for key in table.keys:
        if all(row.get(name) is not None and name not in SYSTEM_COLUMNS for name in key):
            return key
    return None


def known_by(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values of a row without a key that a query can look for.

    NULLs too: a row that says more is another one. What is long, or no plain value, is left out,
    so that the path of the request stays short; the answer has to be compared.
    """
    plain = {
        name: value
        for name, value in row.items()
        if name not in SYSTEM_COLUMNS
        and table.column[name].type in _PLAIN
        and len(str(value)) <= _LONGEST
    }
    return dict(sorted(plain.items(), key=lambda item: len(str(item[1])))[:_MOST])
