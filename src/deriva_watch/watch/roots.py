"""Finds the roots that the settings name, watches them, and scans them when they are due."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from deriva_watch.core.errors import SettingsError, TransientError, TroubleError
from deriva_watch.core.events import (
    BacklogFound,
    Emit,
    RootMissing,
    RootScanned,
    RootWatched,
    WatchLimitNearlyReached,
    WatchLost,
)
from deriva_watch.core.layout import LOOSE, ROOT, TABLES
from deriva_watch.core.states import ExecutionState
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.open_folders import is_folder
from deriva_watch.edges.disk.scanning.prefixes import is_pattern
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.watching import inotify_limits
from deriva_watch.edges.watching.missing import why_missing
from deriva_watch.edges.watching.observer_choice import Mode, Watched
from deriva_watch.edges.watching.watcher import Folder, Watcher
from deriva_watch.pipeline.unit_paths import drop_units, execution_units, matches_of
from deriva_watch.settings.drop_folder import DropFolder
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.look_queue import Looked, LookQueue

AGAIN_S: Final = 5.0  # delay before a root that could not be listed is scanned again
_FEW: Final = 32  # watches
FULL_RESCAN_S: Final = 3600.0  # of drop folders: how long looks may be skipped at most
_LIMITS: Final = Path("limits")
_LIMITS_S: Final = 60.0  # how often the limits are checked


@dataclass(frozen=True, slots=True)
class _Root:
    """A folder to watch: a prefix, or a drop folder.

    Attributes:
        home: The folder without which the root counts as missing.
        folders: The folders to watch.
        observer, rescan_s, full_rescan_s: As the settings have them.
    """

    home: Path
    folders: tuple[Folder, ...]
    observer: Literal["auto", "native", "polling"]
    rescan_s: float
    full_rescan_s: float


@dataclass(slots=True)
class Roots:
    """The prefixes and drop folders of the settings; of a pattern, the folders that match it.

    Attributes:
        settings: Name them.
        journal: Knows the units that were found before.
        inspector: Looks at one unit.
        looks: The units to look at.
        problems: The problems that exist now.
        emit: Where events go.
    """

    settings: Settings
    journal: Journal
    inspector: Inspector
    looks: LookQueue
    problems: Problems
    emit: Emit
    _watcher: Watcher = field(init=False)
    _roots: dict[Path, _Root] = field(default_factory=dict)
    _newer_than: dict[Path, datetime] = field(default_factory=dict)
    _due_s: dict[Path, float] = field(default_factory=dict)  # also of patterns and limits
    _scanned: set[Path] = field(default_factory=set)  # at least once
    _missing: set[Path] = field(default_factory=set)
    _counted_at: int = 0  # with so many watches of ours, count those of all processes again
    _is_scarce: bool = False

    def __post_init__(self) -> None:
        self._watcher = Watcher(
            lambda prefix, name: self.looks.hint(self.settings.unit(prefix, name)), self._lost
        )

    def tend(self) -> None:
        """Watch new roots, repair failed watches, scan the roots that are due."""
        for prefix, watched in self._watcher.check().items():
            self._tell(prefix, watched)
            self._due_s.pop(prefix, None)
        self._find()
        for prefix, root in self._roots.items():
            if self._is_due(prefix, root.rescan_s):
                self._scan(prefix, root)
        self._check_limits()

    def _check_limits(self) -> None:
        """Warn once if the inotify watches of the host are nearly used up.

        Counting them reads /proc of every process, so it is done rarely, and when ours double.
        """
        ours = self._watcher.watches
        if not self._is_due(_LIMITS, _LIMITS_S) and ours < self._counted_at:
            return
        self._counted_at = 2 * max(ours, _FEW)
        found = inotify_limits.watch_usage()
        if found.is_scarce and not self._is_scarce:
            then = f"Raise the limit before it is reached: {inotify_limits.remedy('watches')}"
            event = WatchLimitNearlyReached(used=found.used, limit=found.limit, next=then)
            self.emit(event)
        self._is_scarce = found.is_scarce

    def look(self, unit: Unit) -> Looked:
        """Look at a unit once; raises as `Inspector.look`."""
        return self.inspector.look(unit, self._newer_than.get(unit.prefix))

    def forget_all(self) -> None:
        """Forget since when units are unchanged, and scan everything: the clock was set."""
        self.inspector.forget_all()
        self.scan_all()

    def scan_all(self) -> None:
        """Make every root due for a scan."""
        self._due_s.clear()

    def follow(self, unit: Unit, *, filling: bool) -> None:
        """Watch all folders of a unit while it is filling, and no longer."""
        if filling:
            self._watcher.follow(unit.prefix, unit.name, unit.root)
        else:
            self._watcher.unfollow(unit.prefix, unit.name)

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.stop()

    def _find(self) -> None:
        for watch in self.settings.watch:
            if is_pattern(watch.prefix):
                if not self._is_due(watch.prefix, watch.rescan_s):
                    continue
                found = self._matching(watch.prefix)
            else:
                found = [watch.prefix]
            for prefix in [each for each in found if each not in self._roots]:
                if watch.newer_than:
                    self._newer_than[prefix] = watch.newer_than
                self._add(prefix, _of_watch(prefix, watch))
        for folder in self.settings.drop:
            if folder.path not in self._roots:
                self._add(folder.path, _of_drop(folder))

    def _matching(self, pattern: Path) -> list[Path]:
        """Return the folders that match *pattern*; report that there are none, or may be more."""
        found = matches_of(pattern, self.settings)
        nothing = None
        if not found.folders:
            why, then = "no folder matches it", "It is watched as soon as one does."
            nothing = TroubleError(f"cannot watch {pattern}", why, then)
        self.problems.report(str(pattern), nothing, Scope.FOLDER)
        self.problems.report(f"{pattern}: folders", found.trouble(pattern), Scope.FOLDER)
        return found.folders

    def _add(self, prefix: Path, root: _Root) -> None:
        self._roots[prefix] = root
        self._tell(prefix, self._watcher.watch(prefix, root.folders, root.observer))

    def _tell(self, prefix: Path, watched: Watched) -> None:
        """Report that a root is watched, or that it is missing."""
        missing = None
        self._missing.discard(prefix)
        if watched.mode is Mode.MISSING:
            self._missing.add(prefix)
            home = self._roots[prefix].home
            missing = TroubleError(f"cannot watch {prefix}", *why_missing(home, prefix))
            self.emit(RootMissing(prefix=str(prefix), why=missing.why, next=missing.next))
        else:
            self.emit(
                RootWatched(
                    prefix=str(prefix),
                    observer=watched.mode,
                    why=watched.why,
                    file_system=watched.file_system,
                )
            )
        self.problems.put(str(prefix), missing, Scope.FOLDER)

    def _is_due(self, path: Path, every_s: float) -> bool:
        due = time.monotonic() >= self._due_s.get(path, 0.0)
        if due:
            self._due_s[path] = time.monotonic() + every_s
        return due

    def _scan(self, prefix: Path, root: _Root) -> None:
        start_s = time.monotonic()
        drop = self.settings.drops.get(prefix)
        about = f"{root.home}: names"  # a missing root is a problem of its own
        try:
            units = (
                drop_units(drop, self.settings) if drop else execution_units(prefix, self.settings)
            )
        except (SettingsError, TransientError) as error:
            is_told = prefix in self._missing  # for the same reason
            self.problems.report(about, None if is_told else error, Scope.FOLDER)
            self._due_s[prefix] = time.monotonic() + AGAIN_S
            return
        self.problems.report(about, None)
        self.problems.report(f"{root.home}: beside", units.trouble(prefix), Scope.FOLDER)
        found = units.names
        # If the root is not mounted, nothing is gone. One look at a folder finds all its batches.
        if is_folder(prefix) and not (drop and drop.unit != "directory"):
            known = self.journal.executions(prefix=str(prefix))
            if drop is None:
                self._tell_backlog(prefix, 0 if known else len(found))
            found |= {r.rid for r in known if r.state is not ExecutionState.GONE}
        for unit in (self.settings.unit(prefix, name) for name in found):
            if not self.inspector.folder_cache.is_still(unit, root.full_rescan_s):
                self.looks.soon(unit)
        seconds = round(time.monotonic() - start_s, 6)
        self.emit(
            RootScanned(
                prefix=str(prefix),
                directories=len(found),
                ignored=len(units.ignored),
                seconds=seconds,
            )
        )

    def _tell_backlog(self, prefix: Path, directories: int) -> None:
        """Report at the first scan how many unknown units will be uploaded."""
        if directories and prefix not in self._scanned:
            then = "They are uploaded too; [[watch]] newer_than leaves older ones alone."
            event = BacklogFound(prefix=str(prefix), directories=directories, next=then)
            self.emit(event)
        self._scanned.add(prefix)

    def _lost(self, prefix: str | None, why: str) -> None:
        """Make the roots whose events were lost due for a scan."""
        self.emit(WatchLost(prefix=prefix, why=why))
        for root in [Path(prefix)] if prefix else list(self._due_s):
            self._due_s.pop(root, None)


def _of_watch(prefix: Path, watch: Watch) -> _Root:
    """Return a prefix. Its tables are watched too: they are few, and rows may be added any time."""
    executions = Folder(prefix / ROOT / "execution")
    tables = Folder(prefix / TABLES, TABLES)
    folders = (executions, tables)
    return _Root(executions.path, folders, watch.observer, watch.rescan_s, watch.full_rescan_s)


def _of_drop(folder: DropFolder) -> _Root:
    """Return a drop folder. An event in a folder of batches concerns the folder as a whole."""
    watched = Folder(folder.path, loose=True)
    if folder.unit != "directory":
        watched = Folder(folder.path, LOOSE)
    return _Root(folder.path, (watched,), folder.observer, folder.rescan_s, FULL_RESCAN_S)
