"""Are all files there that were announced? A copy may bring the manifest before them."""

from deriva_watch.core.layout import place
from deriva_watch.core.observation import Observation
from deriva_watch.core.rules import Sources


def awaited(said: Sources, seen: Observation) -> list[str]:
    """Return the paths of files that manifest or workspace name, that are neither there nor in.

    A file counts as there wherever it lies among the files of its table.
    """
    entries = {**(said.manifest.entries if said.manifest else {}), **said.workspace}
    named = {key for key, statement in entries.items() if not statement.recorded}
    if not named:
        return []
    places = (place(path) for path in seen.entries)
    there = {f"{p.part.get('table')}/{p.part.get('file')}" for p in places if p}
    return sorted(f"assets/{key}" for key in named - there)
