"""Reports each hang once, and closes roots to uploads while they do not answer.

A hang is no fault of the thread that waits, so the supervisor accuses none: what hangs is named.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Final

from deriva_watch import liveness
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import CallHung, CallReturned, Emit
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.liveness import Hang

LEFT_BEHIND: Final = 8  # with so many threads that wait for it, a root is closed
UPLOADER: Final = "uploader-"  # how the names of workers begin


@dataclass(slots=True)
class Hangs:
    """Reports what hangs. The loop calls `tend`; any thread may ask.

    Attributes:
        server: How the server is called in hangs; paths are those of roots.
        problems: Where it is reported what does not answer.
        emit: Where events go.
        replace: By the name of a thread, what starts another one in the place of one that is left
            behind.
        hanging: What does not answer.
        silent: What has not answered for a moment, and may hang.
        closed: The roots of which no unit is uploaded now.
    """

    server: str
    problems: Problems
    emit: Emit
    replace: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    hanging: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    _since: dict[str, datetime] = field(default_factory=dict)
    _left: set[threading.Thread] = field(default_factory=set)

    def tend(self, at_work: Sequence[str] = ()) -> None:
        """Report what began or ceased to hang; *at_work* has the root of each unit in work.

        A worker whose unit is in a root that hangs counts as left behind there.
        """
        found, slow = _by_about(liveness.hangs()), _by_about(liveness.slow())
        for about in self._since.keys() - found.keys():
            self._answered(about)
        left_behind = {
            about: sum(not each.thread.startswith(UPLOADER) for each in calls)
            + at_work.count(about)
            for about, calls in (slow | found).items()
        }
        for about, hangs in found.items():
            self._hangs(about, hangs, left_behind[about])
        full = {about for about, count in left_behind.items() if count >= LEFT_BEHIND}
        unseen = {about for about, hangs in found.items() if any(map(is_lane, hangs))}
        self.hanging, self.silent = frozenset(found), frozenset(slow | found)
        self.closed = frozenset(full | unseen)
        self._replace([each for hangs in found.values() for each in hangs])

    def is_at(self, path: Path) -> bool:
        """Return whether *path* is in a root that does not answer."""
        return any(str(each) in self.hanging for each in (path, *path.parents))

    def _replace(self, hangs: Sequence[Hang]) -> None:
        for each in hangs:
            if each.waits not in self._left and each.thread in self.replace:
                self.replace[each.thread]()
        self._left = {each.waits for each in hangs}

    def _hangs(self, about: str, hangs: Sequence[Hang], left_behind: int) -> None:
        silent_s = max(each.silent_s for each in hangs)
        is_new = about not in self._since
        since = self._since.setdefault(about, datetime.now(UTC) - timedelta(seconds=silent_s))
        error = _error(about, since, left_behind)
        # One question to the server costs one unit; that of its lane is whether it can be used.
        stops_all = about == self.server and any(map(is_lane, hangs))
        self.problems.put(_about(about), error, Scope.DAEMON if stops_all else Scope.FOLDER)
        if is_new:
            self.emit(CallHung(about=about, seconds=round(silent_s, 3), **error.sentence()))

    def _answered(self, about: str) -> None:
        seconds = (datetime.now(UTC) - self._since.pop(about)).total_seconds()
        self.problems.put(_about(about), None)
        self.emit(CallReturned(about=about, seconds=round(seconds, 3)))


def _error(about: str, since: datetime, threads: int) -> TroubleError:
    what = f"{about} does not answer"
    why = f"a call has not returned since {since:%H:%M:%S} UTC"
    if not about.startswith("/"):
        return TroubleError(what, why, "Nothing to do: it is asked again once that call ends.")
    if threads >= LEFT_BEHIND:
        why += f"; {threads} threads wait for it, so nothing of it is uploaded"
    then = (
        f"Check the disk or share that it is on: `ls {quote(about)}` may hang too. What is in it "
        "waits until it answers; all else goes on."
    )
    return TroubleError(what, why, then)


def _by_about(hangs: Sequence[Hang]) -> dict[str, list[Hang]]:
    found: dict[str, list[Hang]] = defaultdict(list)
    for each in hangs:
        found[each.about].append(each)
    return found


def is_lane(hang: Hang) -> bool:
    """Return whether the lane of the root itself hangs, and so every look at it would."""
    return hang.thread.startswith(liveness.LANE)


def _about(about: str) -> str:
    return f"{about}: answers"
