"""What several sources say of one asset, made one statement or a refusal.

Workspace database before manifest before path; two that contradict each other are refused, since
nobody but a person knows which one is right.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deriva_watch.core.model import CatalogModel, Table
from deriva_watch.core.sources import Statement
from deriva_watch.core.values import check, same


class Contradiction(ValueError):  # noqa: N818  # it names what the sources do, not our fault
    """Two sources say different things of one asset."""


def merge(table: Table, statements: Sequence[Statement]) -> Statement:
    """Return the one statement that *statements*, the strongest first, agree on.

    Raises:
        Contradiction: They do not; the message names the sources and both values.
    """
    metadata: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    rid, rid_by, recorded = None, "", False
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
        if statement.rid and rid and statement.rid != rid:
            raise Contradiction(
                f"{rid_by} says its RID is {rid}, but {statement.source} says {statement.rid}"
            )
        if statement.rid and not rid:
            rid, rid_by = statement.rid, statement.source
        recorded = recorded or statement.recorded
    types = next((s.types for s in statements if s.types is not None), None)
    description = next((s.description for s in statements if s.description is not None), None)
    return Statement(
        source=statements[0].source if statements else "nobody",
        schema=table.schema.name,
        table=table.name,
        metadata=metadata,
        types=types,
        description=description,
        rid=rid,
        recorded=recorded,
    )


def checked_values(
    model: CatalogModel, table: Table, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of every metadata column of *table*, ready for a row.

    Raises:
        ValueError: A column does not exist, a value does not fit, or one that must be is missing.
    """
    columns = model.asset_metadata(table)
    if unknown := sorted(metadata.keys() - columns):
        raise ValueError(
            f"{table.full_name} has no metadata column {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(sorted(columns)) or 'none'}"
        )
    return {name: check(table.column[name], metadata.get(name)) for name in sorted(columns)}
