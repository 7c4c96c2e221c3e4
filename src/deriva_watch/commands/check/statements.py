"""Checks what describes the units of every root: what other users say is ignored."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from deriva_watch.commands.check.finding import Line, Verdict
from deriva_watch.commands.check.session import Look
from deriva_watch.commands.check.within import in_time
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.ignore_rules import IGNORE_FILE
from deriva_watch.core.prose import counted
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk import receipts
from deriva_watch.pipeline.ownership import workspaces
from deriva_watch.pipeline.unit_paths import Units, drop_units, execution_units, matches_of
from deriva_watch.pipeline.unit_reader import UnitReader

LOOKING_S: Final = 2.0  # the longest time for the units of one root
_NEXT: Final = (
    "Let the owner of the folder own it (chown); or, if its user speaks for everybody, add that "
    "user to trusted_owners of this folder in the settings."
)
_SHOWN: Final = 100  # units in the details


def ignored(look: Look) -> Iterator[Line]:
    """Yield a line for each root in which statements of other users are ignored."""
    settings, reader = look.settings, UnitReader.of(look.settings)
    roots: list[tuple[Path, Callable[[], Units]]] = [
        (prefix, partial(execution_units, prefix, settings))
        for watch in settings.watch
        for prefix in matches_of(watch.prefix, settings).folders
    ]
    roots += [(path, partial(drop_units, drop, settings)) for path, drop in settings.drops.items()]
    for root, units_of in roots:
        yield from in_time(f"statements in {root}", root, partial(_of_root, reader, root, units_of))


def _of_root(reader: UnitReader, root: Path, units_of: Callable[[], Units]) -> Iterator[Line]:
    with suppress(TroubleError):  # another line says that they cannot be listed
        units = [reader.settings.unit(root, name) for name in sorted(units_of().names)]
        yield from _root(reader, root, [unit for unit in units if not unit.is_shared])


def _root(reader: UnitReader, root: Path, units: list[Unit]) -> Iterator[Line]:
    ends_s, looked, found = time.monotonic() + LOOKING_S, 0, dict[str, dict[str, str]]()
    for unit in units:
        if looked and time.monotonic() > ends_s:
            break
        looked += 1
        with suppress(TroubleError):  # it waits, and `status` says why
            if said := _of_others(reader, unit):
                found[unit.name] = said
    if not found:
        return
    name, said = next(iter(found.items()))
    path, why = next(iter(said.items()))
    what = f"what other users say of {counted(len(found), 'unit')} is ignored"
    if looked < len(units):
        what += f" ({looked} of {len(units)} were looked at)"
    shown = dict(islice(found.items(), _SHOWN))
    details = tuple(f"{name}: {p}: {w}" for name, said in shown.items() for p, w in said.items())
    why, facts = f"{name}: {path}: {why}", {"ignored": shown}
    yield Line(f"statements in {root}", what, why, _NEXT, facts, Verdict.NOTE, details)


def _of_others(reader: UnitReader, unit: Unit) -> dict[str, str]:
    """Return the statements about a unit that do not count, each with the reason."""
    seen, directory, settings = reader.look(unit), reader.directory(unit), reader.settings
    if seen is None:
        return {}
    found = dict(seen.disbelieved)
    found |= {path: why for path, why in seen.skipped.items() if path.endswith(IGNORE_FILE)}
    with suppress(OSError), directory.opened() as folder:
        found |= receipts.disbelieved_copies(folder, directory.trusted)
    return found if unit.drop else found | workspaces(unit, seen.owner, settings)[1]
