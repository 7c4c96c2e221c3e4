"""One root: watches it, and scans it when that is due. Only its lane calls: it may hang."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from deriva_watch.core.errors import SettingsError, TransientError, TroubleError
from deriva_watch.core.events import BacklogFound, Emit, RootMissing, RootScanned, RootWatched
from deriva_watch.core.layout import LOOSE, ROOT, TABLES
from deriva_watch.core.states import ExecutionState
from deriva_watch.edges.disk.open_folders import is_folder
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.watching.missing import why_missing
from deriva_watch.edges.watching.observer_choice import Mode, Watched
from deriva_watch.edges.watching.watcher import Folder, Watcher
from deriva_watch.liveness import METADATA_S, beat, depending_on
from deriva_watch.pipeline.unit_paths import Units, drop_units, execution_units
from deriva_watch.settings.drop_folder import DropFolder
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.look_queue import LookQueue

CHECK_S: Final = 1.0  # how often it is checked whether a root is still watched
AGAIN_S: Final = 5.0  # delay before a root that could not be listed is scanned again
FULL_RESCAN_S: Final = 3600.0  # of drop folders: how long looks may be skipped at most


@dataclass(frozen=True, slots=True)
class RootSettings:
    """What the settings say about a root.

    Attributes:
        prefix: The prefix or drop folder.
        home: The folder without which the root counts as missing.
        folders: The folders to watch.
        observer, rescan_s, full_rescan_s, newer_than: As the settings have them.
    """

    prefix: Path
    home: Path
    folders: tuple[Folder, ...]
    observer: Literal["auto", "native", "polling"]
    rescan_s: float
    full_rescan_s: float
    newer_than: datetime | None = None

    @classmethod
    def of_watch(cls, prefix: Path, watch: Watch) -> "RootSettings":
        """Return those of a prefix. Its tables are watched too: rows may be added any time."""
        executions = Folder(prefix / ROOT / "execution")
        folders = (executions, Folder(prefix / TABLES, TABLES))
        return cls(
            prefix,
            executions.path,
            folders,
            watch.observer,
            watch.rescan_s,
            watch.full_rescan_s,
            watch.newer_than,
        )

    @classmethod
    def of_drop(cls, folder: DropFolder) -> "RootSettings":
        """Return those of a drop folder; in one of batches, an event concerns it as a whole."""
        watched = Folder(folder.path, loose=True)
        if folder.unit != "directory":
            watched = Folder(folder.path, LOOSE)
        return cls(
            folder.path, folder.path, (watched,), folder.observer, folder.rescan_s, FULL_RESCAN_S
        )


@dataclass(slots=True)
class Root:
    """A root that is watched. One thread at a time calls `tend`; any may call all else.

    Attributes:
        said: What the settings say about it.
        settings: All settings.
        journal: Knows the units that were found before.
        inspector: Knows which units a scan can skip.
        looks: Takes its units, to be looked at.
        watcher: Watches the roots.
        problems: The problems that exist now.
        emit: Where events go.
    """

    said: RootSettings
    settings: Settings
    journal: Journal
    inspector: Inspector
    looks: LookQueue
    watcher: Watcher
    problems: Problems
    emit: Emit
    _check_s: float = 0.0  # when it is checked next
    _scan_s: float = 0.0  # when it is scanned next
    _is_asked: threading.Event = field(default_factory=threading.Event)  # for a scan
    _is_watched: bool = False
    _is_missing: bool = False
    _is_scanned: bool = False  # at least once

    @property
    def prefix(self) -> Path:
        """The prefix or drop folder."""
        return self.said.prefix

    def scan_soon(self) -> None:
        """Make it due for a scan."""
        self._is_asked.set()
        self.looks.wake()

    def due_s(self) -> float:
        """Return when `tend` has something to do, by `time.monotonic`."""
        return 0.0 if self._is_asked.is_set() else min(self._check_s, self._scan_s)

    def tend(self) -> None:
        """Watch it, repair what broke, and scan it if that is due."""
        # Read before the check: a scan requested while the watch is repaired is due next time.
        is_due = self._is_asked.is_set() or time.monotonic() >= self._scan_s
        self._is_asked.clear()
        with depending_on(self.prefix, METADATA_S):
            is_changed = self._check()
        self._check_s = time.monotonic() + CHECK_S
        if is_due or is_changed:
            self._scan_s = time.monotonic() + self.said.rescan_s
            self._scan()

    def _check(self) -> bool:
        """Watch it, or repair that; return whether something changed."""
        if self._is_watched:
            watched = self.watcher.check(self.prefix)
        else:
            watched = self.watcher.watch(self.prefix, self.said.folders, self.said.observer)
            self._is_watched = True
        if watched:
            self._tell(watched)
        return watched is not None

    def _tell(self, watched: Watched) -> None:
        """Report that it is watched, or that it is missing."""
        missing, prefix = None, self.prefix
        self._is_missing = watched.mode is Mode.MISSING
        if self._is_missing:
            missing = TroubleError(f"cannot watch {prefix}", *why_missing(self.said.home, prefix))
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

    def _scan(self) -> None:
        start_s, prefix = time.monotonic(), self.prefix
        with depending_on(prefix, METADATA_S):
            units, is_there = self._units(), is_folder(prefix)
        if units is None:
            return
        drop, found = self.settings.drops.get(prefix), units.names
        # If the root is not mounted, nothing is gone. One look at a folder finds all its batches.
        if is_there and not (drop and drop.unit != "directory"):
            known = self.journal.unit_states(str(prefix))
            if drop is None:
                self._tell_backlog(0 if known else len(found))
            found |= {name for name, state in known if state is not ExecutionState.GONE}
        self._queue(found)
        if self._is_missing and found:  # it has come since the check: watch it before more looks
            self._check_s = 0.0
        seconds = round(time.monotonic() - start_s, 6)
        self.emit(
            RootScanned(
                prefix=str(prefix),
                directories=len(found),
                ignored=len(units.ignored),
                seconds=seconds,
            )
        )

    def _queue(self, names: Iterable[str]) -> None:
        """Have the units looked at that may have changed."""
        cache, full_s = self.inspector.folder_cache, self.said.full_rescan_s
        with depending_on(self.prefix, METADATA_S):
            for unit in (self.settings.unit(self.prefix, name) for name in names):
                beat()
                if not cache.is_still(unit, full_s):
                    self.looks.soon(unit)

    def _units(self) -> Units | None:
        """Return its units; None, with a report, if it cannot be listed now."""
        prefix, drop = self.prefix, self.settings.drops.get(self.prefix)
        about = f"{self.said.home}: names"  # a missing root is a problem of its own
        try:
            units = (
                drop_units(drop, self.settings) if drop else execution_units(prefix, self.settings)
            )
        except (SettingsError, TransientError) as error:
            is_told = self._is_missing  # for the same reason
            self.problems.report(about, None if is_told else error, Scope.FOLDER)
            self._scan_s = time.monotonic() + AGAIN_S
            return None
        self.problems.report(about, None)
        self.problems.report(f"{self.said.home}: beside", units.trouble(prefix), Scope.FOLDER)
        return units

    def _tell_backlog(self, directories: int) -> None:
        """Report at the first scan how many unknown units will be uploaded."""
        if directories and not self._is_scanned:
            then = "They are uploaded too; [[watch]] newer_than leaves older ones alone."
            event = BacklogFound(prefix=str(self.prefix), directories=directories, next=then)
            self.emit(event)
        self._is_scanned = True
