"""The roots that the settings name; of a pattern, the folders that match it.

Each root and each pattern has a lane of its own, because its file system may hang; so have the
watches of all roots, which are repaired together.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Emit, WatchLimitNearlyReached, WatchLost
from deriva_watch.core.unit import Unit
from deriva_watch.edges.disk.scanning.prefixes import is_pattern, named_part
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.edges.journal import Journal
from deriva_watch.edges.watching import inotify_limits
from deriva_watch.edges.watching.watcher import Watcher
from deriva_watch.liveness import depending_on
from deriva_watch.pipeline.unit_paths import matches_of
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.look_queue import Looked, Looks
from deriva_watch.watch.root import Root, RootSettings

REPAIR_S: Final = 1.0  # how often it is checked whether events still come
_FEW: Final = 32  # watches
_LIMITS_S: Final = 60.0  # how often the limits are checked


@dataclass(slots=True)
class Roots:
    """The roots that were found. Any thread may call, but `repair` is for one.

    Attributes:
        settings: Name them.
        journal: Knows the units that were found before.
        inspector: Looks at one unit.
        problems: The problems that exist now.
        emit: Where events go.
        looks: The units to look at.
        found: Called with each new root.
    """

    settings: Settings
    journal: Journal
    inspector: Inspector
    looks: Looks
    problems: Problems
    emit: Emit
    found: Callable[[Root], None]
    _watcher: Watcher = field(init=False)
    _roots: dict[Path, Root] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._watcher = Watcher(
            lambda prefix, name: self.looks.hint(self.settings.unit(prefix, name)), self._lost
        )

    def add_named(self) -> list["Pattern"]:
        """Add the roots that the settings name; return the patterns, whose folders come later."""
        patterns = []
        for watch in self.settings.watch:
            if is_pattern(watch.prefix):
                patterns.append(Pattern(watch, self))
            else:
                self.add(RootSettings.of_watch(watch.prefix, watch))
        for folder in self.settings.drop:
            self.add(RootSettings.of_drop(folder))
        return patterns

    def add(self, said: RootSettings) -> None:
        """Watch a root, if it is new."""
        with self._lock:
            if said.prefix in self._roots:
                return
            root = self._roots[said.prefix] = Root(
                said,
                self.settings,
                self.journal,
                self.inspector,
                self.looks.add(said.prefix),
                self._watcher,
                self.problems,
                self.emit,
            )
        self.found(root)

    def look(self, unit: Unit) -> Looked:
        """Look at a unit once; raises as `Inspector.look`."""
        root = self._roots.get(unit.prefix)
        return self.inspector.look(unit, root.said.newer_than if root else None)

    def forget_all(self) -> None:
        """Forget since when units are unchanged, and scan everything: the clock was set."""
        self.looks.clear()
        self.inspector.forget_all()
        self.scan_all()

    def scan_all(self) -> None:
        """Make every root due for a scan."""
        for root in list(self._roots.values()):
            root.scan_soon()

    def follow(self, unit: Unit, *, filling: bool) -> None:
        """Watch all folders of a unit while it is filling, and no longer."""
        if filling:
            with depending_on(unit.prefix):
                self._watcher.follow(unit.prefix, unit.name, unit.root)
        else:
            self._watcher.unfollow(unit.prefix, unit.name)

    def repair(self) -> int:
        """Repair the watches where they broke for all roots; return how many there are."""
        self._watcher.repair()
        return self._watcher.watches

    def stop(self) -> None:
        """Stop watching."""
        self._watcher.stop()

    def _lost(self, prefix: str | None, why: str) -> None:
        """Make the roots whose events were lost due for a scan."""
        self.emit(WatchLost(prefix=prefix, why=why))
        if prefix is None:
            self.scan_all()
        elif root := self._roots.get(Path(prefix)):
            root.scan_soon()


@dataclass(slots=True)
class Pattern:
    """A pattern of prefixes; a lane looks again and again which folders match it."""

    watch: Watch
    roots: Roots
    _due_s: float = 0.0

    @property
    def about(self) -> str:
        """The folder that is listed."""
        return str(named_part(self.watch.prefix))

    def due_s(self) -> float:
        """Return when to look, by `time.monotonic`."""
        return self._due_s

    def turn(self) -> None:
        """Add the folders that match; report that there are none, or may be more."""
        self._due_s = time.monotonic() + self.watch.rescan_s
        pattern, problems = self.watch.prefix, self.roots.problems
        found = matches_of(pattern, self.roots.settings)
        nothing = None
        if not found.folders:
            why, then = "no folder matches it", "It is watched as soon as one does."
            nothing = TroubleError(f"cannot watch {pattern}", why, then)
        problems.report(str(pattern), nothing, Scope.FOLDER)
        problems.report(f"{pattern}: folders", found.trouble(pattern), Scope.FOLDER)
        for prefix in found.folders:
            self.roots.add(RootSettings.of_watch(prefix, self.watch))


@dataclass(slots=True)
class Watches:
    """The watches of all roots: a lane repairs them, and warns before there are none left."""

    roots: Roots
    emit: Emit
    about: str = "the events of file systems"
    _due_s: float = 0.0
    _count_s: float = 0.0
    _counted_at: int = 0  # with so many watches of ours, count those of all processes again
    _is_scarce: bool = False

    def due_s(self) -> float:
        """Return when to check, by `time.monotonic`."""
        return self._due_s

    def turn(self) -> None:
        """Repair them. Counting reads /proc of every process: rarely, and when ours double."""
        self._due_s = time.monotonic() + REPAIR_S
        ours = self.roots.repair()
        if time.monotonic() >= self._count_s or ours >= self._counted_at:
            self._count_s = time.monotonic() + _LIMITS_S
            self._counted_at = 2 * max(ours, _FEW)
            self._warn_if_scarce()

    def _warn_if_scarce(self) -> None:
        """Warn once if the inotify watches of the host are nearly used up."""
        found = inotify_limits.watch_usage()
        if found.is_scarce and not self._is_scarce:
            then = f"Raise the limit before it is reached: {inotify_limits.remedy('watches')}"
            event = WatchLimitNearlyReached(used=found.used, limit=found.limit, next=then)
            self.emit(event)
        self._is_scarce = found.is_scarce
