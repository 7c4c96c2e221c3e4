"""One look of the daemon at one unit, and what follows from it for the loop."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.cleanup.unit_cleaner import UnitLocks
from deriva_watch.core.error_effects import Effect, classify
from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Emit, NoticeAdded
from deriva_watch.core.unit import Unit
from deriva_watch.edges.host.problems import Problems, Scope
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.crash_report import report_crash
from deriva_watch.watch.look_queue import Looked, LookQueue
from deriva_watch.watch.roots import Roots

_TURN_S: Final = 1.0  # how soon a unit is looked at whose files are being removed
_AGAIN_S: Final = 5.0  # how soon a look is repeated that failed
_CRASHED_S: Final = 60.0  # the same after a bug


@dataclass(frozen=True, slots=True)
class UnitLooks:
    """Looks at the units of one root; an error of one stops no other.

    Attributes:
        roots: Where the units are.
        looks: The queue of the root.
        locks: A unit is not looked at while its files are removed.
        breaker: Tripped if the server cannot be used.
        problems: What is wrong with a unit now.
        emit: Where events go.
    """

    roots: Roots
    looks: LookQueue
    locks: UnitLocks
    breaker: CircuitBreaker
    problems: Problems
    emit: Emit

    def look(self, unit: Unit) -> None:
        """Look at a unit once, or come back soon where files of it are being removed.

        Raises JournalDamagedError.
        """
        began_s, trouble = time.monotonic(), None
        try:
            with self.locks.take(unit) as is_free:
                looked = self.roots.look(unit) if is_free else Looked()
            if not is_free:
                self.looks.soon(unit, _TURN_S)
        except Exception as error:  # noqa: BLE001  # one unit must not stop the others
            wait_s, trouble = self._failed(unit, error)
            looked = Looked(datetime.now(UTC) + timedelta(seconds=wait_s))
        for about, problem in looked.problems.items():
            self.problems.report(about, problem, Scope.FOLDER)
        for other in looked.also:
            self.looks.soon(other)
        self._report(unit, trouble)
        self.roots.follow(unit, filling=looked.again_at is not None)
        self.looks.put(unit, looked.again_at, began_s)

    def _failed(self, unit: Unit, error: Exception) -> tuple[float, TroubleError | None]:
        """Return when to look again, in seconds, and what to say about the unit."""
        failure = classify(error, f"cannot look at {unit.label}")
        if failure.effect is Effect.FATAL:
            raise error
        if failure.effect is Effect.CHANGED:
            return _AGAIN_S, None
        if failure.effect in {Effect.CRASH, Effect.INTERRUPTED}:
            report_crash(self.emit, f"look at {unit.label}")
            return _CRASHED_S, None
        is_known = failure.error is self.breaker.error
        self.breaker.learn(failure)
        is_of_server = is_known or failure.effect in {Effect.STOP_ALL, Effect.RETRY_UNLESS_AWAY}
        return _AGAIN_S, None if is_of_server else failure.trouble

    def _report(self, unit: Unit, trouble: TroubleError | None) -> None:
        # Several batches have the same root.
        about = f"{unit.root}: {unit.name}" if unit.root == unit.prefix else str(unit.root)
        if self.problems.put(about, trouble, Scope.FOLDER) and trouble:
            self.emit(NoticeAdded(execution=unit.name, about="the directory", why=str(trouble)))
