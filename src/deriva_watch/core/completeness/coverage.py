"""Are all files there that were announced? A copy may bring the manifest before them."""

from collections.abc import Mapping

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.layout import TYPED_TABLES, place
from deriva_watch.core.metadata.sources import Sources


def awaited(said: Sources, seen: Observation) -> list[str]:
    """Return the paths of files that manifest or workspace name, that are neither there nor in.

    A file counts as there wherever it lies among the files of its table.
    """
    entries = {**(said.manifest.entries if said.manifest else {}), **said.workspace}
    named = {key for key, statement in entries.items() if not statement.recorded}
    if not named:
        return []
    there = {key_of(where.part) for path in seen.entries if (where := place(path))}
    return sorted(f"assets/{key}" for key in named - there)


def key_of(part: Mapping[str, str]) -> str:
    """Return "<Table>/<file>" of a place, as manifest and workspace name files."""
    table = part.get("asset_table") or part.get("table")
    if kind := part.get("kind"):
        _, table = TYPED_TABLES[kind]
    return f"{table}/{part.get('file')}"
