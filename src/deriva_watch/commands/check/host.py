"""Checks this host for watching: the roots, the limits, how open files are found."""

import getpass
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from deriva_watch.commands.check.finding import Line, Verdict
from deriva_watch.commands.check.session import Look
from deriva_watch.commands.check.within import in_time
from deriva_watch.core.completeness.observation import HolderMethod
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.layout import LOOSE, ROOT
from deriva_watch.core.prose import counted
from deriva_watch.edges.disk import open_files, workspace
from deriva_watch.edges.disk.open_folders import is_folder
from deriva_watch.edges.watching import inotify_limits, mounts
from deriva_watch.edges.watching.missing import why_missing
from deriva_watch.edges.watching.observer_choice import Mode, Wanted, choose
from deriva_watch.edges.watching.probe import probe
from deriva_watch.edges.watching.watcher import Folder
from deriva_watch.pipeline.unit_paths import Units, drop_units, execution_units, matches_of
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch

COUNTING_S: Final = 2.0  # the longest time for counting folders, or old directories


def roots(look: Look) -> Iterator[Line]:
    """Check every prefix and every drop folder."""
    settings = look.settings
    if not settings.watch and not settings.drop:
        why = "the settings have no [[watch]] and no [[drop]]"
        yield Line.wrong(
            "roots", "there is nothing to watch", why, 'Add [[watch]] prefix = "/data".'
        )
    for watch in settings.watch:
        found = matches_of(watch.prefix, settings)
        if not found.folders:
            then = "It is watched as soon as a folder matches; or correct the pattern."
            yield Line.wrong(
                f"root {watch.prefix}", "cannot be watched", "no folder matches it", then
            )
        for prefix in found.folders:
            folder, about = Folder(prefix / ROOT / "execution"), f"root {prefix}"
            units = partial(_executions, watch, prefix, settings)
            root = partial(_root, settings, about, prefix, folder, watch.observer)
            yield from in_time(about, prefix, partial(_with_names, prefix, root, units))
        yield from _left_out(
            watch.prefix, found.trouble(watch.prefix), found.unknown, found.ignored
        )
    for drop in settings.drop:
        folder = Folder(drop.path, None if drop.unit == "directory" else LOOSE)
        about = f"drop folder {drop.path}"
        units = partial(drop_units, settings.drops[drop.path], settings)
        root = partial(_root, settings, about, drop.path, folder, drop.observer)
        yield from in_time(about, drop.path, partial(_with_names, drop.path, root, units))


def _with_names(
    path: Path, root: Callable[[], Line], units_of: Callable[[], Units]
) -> Iterator[Line]:
    """Yield the line about a root, and one about the names in it."""
    yield (line := root())
    if line.facts:  # it can be listed
        yield from _names(path, units_of)


def _names(root: Path, units_of: Callable[[], Units]) -> Iterator[Line]:
    """Yield a line about what is in *root* and is not uploaded, if there is anything."""
    try:
        units = units_of()
    except TroubleError as error:
        yield Line.of(f"names in {root}", error)
        return
    yield from _left_out(root, units.trouble(root), units.beside, units.ignored)


def _executions(watch: Watch, prefix: Path, settings: Settings) -> Units:
    """Return the units of *prefix*; those that newer_than leaves alone are ignored ones too."""
    units = execution_units(prefix, settings)
    if limit := watch.newer_than:
        reader, ends_s = UnitReader.of(settings), time.monotonic() + COUNTING_S
        for unit in (settings.unit(prefix, name) for name in sorted(units.names)):
            if time.monotonic() > ends_s:
                break
            seen = reader.look(unit)
            if seen and (last := seen.changed_at()) < limit:
                why = f"it last changed {last:%Y-%m-%d}, before newer_than; if the journal has it"
                units.ignored[unit.root] = f"{why}, it is uploaded all the same"
    return units


def _left_out(
    root: Path,
    trouble: TroubleError | None,
    unclear: Mapping[Path, str],
    ignored: Mapping[Path, str],
) -> Iterator[Line]:
    about = f"names in {root}"
    facts = {"not_uploaded": _texts(unclear), "ignored": _texts(ignored)}
    details = tuple(f"{path}: {why}" for path, why in sorted(({**unclear, **ignored}).items()))
    more = f"{counted(len(ignored), 'name')} left out on purpose (-v lists them)" if ignored else ""
    if trouble:
        what = "; ".join(filter(None, (trouble.what, more)))
        yield Line(about, what, trouble.why, trouble.next, facts, Verdict.NOTE, details)
    elif ignored:
        yield Line(about, more, facts=facts, details=details)


def _texts(names: Mapping[Path, str]) -> dict[str, str]:
    return {str(path): why for path, why in sorted(names.items())}


def _root(settings: Settings, about: str, prefix: Path, folder: Folder, observer: Wanted) -> Line:
    path = folder.path
    try:
        if not is_folder(path):
            return Line.wrong(about, "cannot be watched", *why_missing(path, prefix))
        next(path.iterdir(), None)
        watched, stay = choose(path, observer, probe), mounts.inodes_stay(os.path.realpath(path))
        count, whole = inotify_limits.count_folders(path, COUNTING_S)
        workspaces = _workspaces(prefix)
    except OSError as error:
        why = f"{error.filename or path}: {error.strerror}"
        return Line.wrong(about, "cannot be watched", why, f"Let {getpass.getuser()} read it.")
    except TroubleError as error:
        return Line.of(about, error)
    native = watched.mode is Mode.NATIVE
    facts: dict[str, object] = {
        "observer": watched.mode,
        "observer_why": watched.why,
        "file_system": watched.file_system,
        "time_step_s": watched.time_step_s,
        "inode_numbers_stay": stay,
        "watches_needed": 0 if not native else count if folder.recursive else 1,
        "watches_limit": inotify_limits.limit("watches"),
        "folders": count,
        "all_folders_counted": whole,
        "workspaces": workspaces,
        "links_into": [str(prefix), *map(str, settings.files.allowed_link_roots)],
    }
    how = "inotify works (tested)" if native and watched.time_step_s is not None else watched.why
    what = f"{watched.file_system or 'unknown file system'}; {how}"
    if not native:
        what = f"{watched.file_system or 'unknown file system'}; only scanned: {how}"
    if native and folder.recursive and count > inotify_limits.limit("watches"):
        why = "there are not enough watches for all its folders; the rest is only scanned"
        return Line.wrong(about, what, why, f"As root: {inotify_limits.remedy('watches')}", facts)
    return Line(about, what, facts=facts, details=tuple(_details(facts)))


def _workspaces(prefix: Path) -> list[str]:
    try:
        return [f"{each.host} catalog {each.catalog}" for each in workspace.find(prefix)]
    except workspace.NotListedError as error:  # it hinders only those for whom it counts
        return [f"not known ({error.why})"]


def _details(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"observer {facts['observer']}: {facts['observer_why']}"
    if facts["time_step_s"] is not None:
        yield f"file times are kept to {facts['time_step_s']:g} s"
    if not facts["inode_numbers_stay"]:
        yield "inode numbers do not stay here: files are known by path, size and time"
    if facts["watches_needed"]:
        more = "" if facts["all_folders_counted"] else "more than "
        yield (
            f"needs {facts['watches_needed']:,} of {facts['watches_limit']:,} watches, "
            f"{more}{facts['folders']:,} if all its executions were incomplete"
        )
    yield f"workspaces of deriva-ml: {', '.join(facts['workspaces']) or 'none'}"
    yield f"links are followed into {', '.join(facts['links_into'])}"


def watches(_: Look) -> Iterator[Line]:
    """Check the limits of inotify."""
    about, found = "inotify", inotify_limits.watch_usage()
    facts = {
        "used": found.used,
        "limit": found.limit,
        "instances_limit": inotify_limits.limit("instances"),
    }
    what = f"{found.used:,} of {found.limit:,} watches in use by {getpass.getuser()}"
    if not found.is_scarce:
        yield Line(about, what, facts=facts)
    else:
        why = "folders that cannot be watched are only scanned, which is slower"
        yield Line.wrong(about, what, why, f"As root: {inotify_limits.remedy('watches')}", facts)


def writers(_: Look) -> Iterator[Line]:
    """Check how files that are open for writing can be found."""
    found = open_files.method()
    said = {
        HolderMethod.PROC: "found in /proc, for all processes of this host",
        HolderMethod.LEASE: "found by file leases: not all processes can be read in /proc",
        HolderMethod.UNKNOWN: f"found by file leases, only for files of {getpass.getuser()}; "
        "for other files only the quiet period counts",
    }
    facts = {"method": found}
    if found is not HolderMethod.UNKNOWN:
        yield Line("open writers", said[found], facts=facts)
        return
    why = "a directory of another account takes longer to count as complete"
    then = (
        "Run deriva-watch as the account that writes the data, or with CAP_LEASE as our unit does."
    )
    yield Line.note("open writers", said[found], why, then, facts)
