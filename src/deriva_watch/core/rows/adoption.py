"""Decide whether an existing row of the catalog is the row of a file.

A row with the same MD5, Filename (in any Unicode form) and Length is a candidate; the metadata of
the file decides. NULL says nothing, on either side. Description, types and links never decide.
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
    """A row that agrees with the file.

    Attributes:
        row: The row to adopt; it is never written to.
        rids: Of all rows that agree, the oldest first; more than one deserves a notice.
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
    """Choose the row that *values* describe; None if a new row must be created.

    Args:
        table: The asset table.
        values: Metadata by column, as the file gives them.
        candidates: Rows with the file's MD5, Filename and Length.
        given_rid: The RID that the file's row must have; a row with it goes before all others.
        held: Returns whether the row with a RID belongs to another file of ours: it fits only if
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

    None if it has a different one. Larger is better; a row with exactly the given values has all of
    them and adds none.
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
    """Return the given *values* that *row*, made from earlier values, does not have."""
    return {
        column: value
        for column, value in values.items()
        if value is not None and not same(table.column[column], value, row.get(column))
    }


def contradictions(table: Table, values: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return the given columns whose value in *row* differs; NULL in the file says nothing.

    Unlike in `differences`, NULL in *row* counts as different: nobody would ever fill it.
    """
    return [
        column
        for column, value in values.items()
        if value is not None and not same(table.column[column], value, row.get(column))
    ]


def rid_order(rid: str) -> tuple[int, str]:
    """Sort RIDs by age: the sequence makes them longer, then larger."""
    return len(rid), rid


def normal_key(key: Iterable[str], table: Table, values: Mapping[str, Any]) -> Hashable:
    """Return the values of the columns *key* of a row in a normal form."""
    return tuple((name, meaning(table.column[name], values.get(name))) for name in key)


def natural_key(table: Table, row: Mapping[str, Any]) -> frozenset[str] | None:
    """Return a unique key whose values the row gives; None: the row needs a leased RID.

    All its columns are given, none is NULL (UNIQUE with NULL never conflicts), and the system fills
    none of them.
    """
    for key in table.natural_keys:
        if all(row.get(name) is not None for name in key):
            return key
    return None


def known_by(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by which a query can find a row without a key.

    NULLs too: a row with more values is a different one. Long and structured values are left out to
    keep the request's path short, so the answer has to be compared.
    """
    plain = {
        name: value
        for name, value in row.items()
        if name not in SYSTEM_COLUMNS
        and table.column[name].type in _PLAIN
        and len(str(value)) <= _LONGEST
    }
    return dict(sorted(plain.items(), key=lambda item: len(str(item[1])))[:_MOST])
