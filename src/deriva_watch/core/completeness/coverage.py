"""Which registered files do not exist yet? A copy may write the manifest before the files."""

from collections.abc import Mapping

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.layout import TYPED_TABLES, place
from deriva_watch.core.metadata.sources import Sources


def missing_files(said: Sources, seen: Observation) -> list[str]:
    """Return the registered files that neither exist nor are in the catalog.

    A file exists if any path of its table has its name.
    """
    entries = {**(said.manifest.entries if said.manifest else {}), **said.workspace}
    named = {key for key, statement in entries.items() if not statement.recorded}
    if not named:
        return []
    there = {key_of(where.part) for path in seen.entries if (where := place(path))}
    return sorted(f"assets/{key}" for key in named - there)


def key_of(part: Mapping[str, str]) -> str:
    """Return "<Table>/<file>" of a parsed path: the key of the file in manifest and workspace."""
    table = part.get("asset_table") or part.get("table")
    if kind := part.get("kind"):
        _, table = TYPED_TABLES[kind]
    return f"{table}/{part.get('file')}"
