"""Asset types that were given to files that do not exist, such as a misspelt name."""

from collections.abc import Iterable, Mapping
from typing import Final

from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import TableName

_NAMED: Final = 10  # names that a notice has


def unused_types(
    said: Sources, there: set[tuple[TableName, str]], left: Iterable[str]
) -> dict[TableName, tuple[str, ...]]:
    """Return the names that have asset types and belong to no file.

    Args:
        said: All metadata that is not in the paths.
        there: Tables and names of the files that are uploaded, or refused.
        left: Paths of all other files.
    """
    others = {path.rpartition("/")[2] for path in left}
    found = {
        table: tuple(n for n in sorted(types) if (table, n) not in there and n not in others)
        for table, types in said.types.items()
    }
    return {table: names for table, names in found.items() if names}


def unused_notices(unused: Mapping[TableName, tuple[str, ...]]) -> dict[str, str]:
    """Return a notice for each file of types with names that belong to no file."""
    return {f"asset-type/{t.schema}/{t.table}.jsonl": _notice(n) for t, n in unused.items() if n}


def _notice(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"no file gets the types that it gives to {shown}; correct the names, or write the files"
