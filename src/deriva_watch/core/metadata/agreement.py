"""Merge what several sources say of one asset into one statement, or refuse it.

The workspace database has priority over the manifest, and that over the path. Two sources that
contradict each other are refused, since only a person knows which one is right.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deriva_watch.core.metadata.sources import Statement
from deriva_watch.core.model import CatalogModel, Table
from deriva_watch.core.unicode_forms import composed
from deriva_watch.core.values import check, same


class Contradiction(ValueError):  # noqa: N818  # it names what the sources do, not our fault
    """Two sources say different things of one asset."""


def merge(table: Table, statements: Sequence[Statement]) -> Statement:
    """Return the statement that all *statements* agree on; the first ones have priority.

    Raises:
        Contradiction: They do not; the message names the sources and both values.
    """
    metadata: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for statement in statements:
        for name, value in statement.metadata.items():
            column = table.column.get(name)
            if name in metadata and column and not same(column, metadata[name], value):
                raise Contradiction(
                    f"{said_by[name]} says {name} = {metadata[name]!r}, "
                    f"but {statement.source} says {value!r}"
                )
            metadata.setdefault(name, value)
            said_by.setdefault(name, statement.source)
    types = next((s.types for s in statements if s.types is not None), None)
    # A row in the catalog outweighs a RID that was leased: another row may have been adopted.
    rids = [s for s in statements if s.recorded and s.rid] or statements
    return Statement(
        source=statements[0].source if statements else "nobody",
        schema=table.schema.name,
        table=table.name,
        metadata=metadata,
        types=types,
        description=_agreed("description", ((s.description, s.source) for s in statements)),
        rid=_agreed("RID", ((s.rid, s.source) for s in rids)),
        recorded=any(statement.recorded for statement in statements),
    )


def _agreed(what: str, said: Iterable[tuple[str | None, str]]) -> str | None:
    """Return the text that all sources with a text agree on."""
    agreed, first = None, ""
    for text, source in said:
        if agreed and text and composed(text) != composed(agreed):
            raise Contradiction(
                f"{first} says its {what} is {agreed!r}, but {source} says {text!r}"
            )
        if text and not agreed:
            agreed, first = text, source
    return agreed


def checked_values(
    model: CatalogModel, table: Table, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of every metadata column of *table*, ready for a row.

    Raises:
        ValueError: A column does not exist, or a value is invalid or missing.
    """
    columns = model.asset_metadata(table)
    if unknown := sorted(metadata.keys() - columns):
        raise ValueError(
            f"{table.full_name} has no metadata column {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(sorted(columns)) or 'none'}"
        )
    return {name: check(table.column[name], metadata.get(name)) for name in sorted(columns)}
