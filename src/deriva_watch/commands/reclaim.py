"""Removes the files of uploaded executions for a person: shown first, then done by the daemon.

Without a daemon this process does it, by the same routine (`cleanup`).
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Final

from deriva_watch.cleanup.eligibility import Eligibility
from deriva_watch.cleanup.policy import reclaim_policy
from deriva_watch.cleanup.proof import Proof
from deriva_watch.cleanup.rehearsal import Rehearsal
from deriva_watch.cleanup.retention import Retention, reclaimable
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.errors import RefusedError, ServerAwayError, TransientError, TroubleError
from deriva_watch.core.layout import is_execution
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.removal import age
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges.host.problems import read as read_problems
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Reader
from deriva_watch.edges.journal.status_queries import Amount
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.server_check import ServerCheck
from deriva_watch.pipeline.build import opened
from deriva_watch.pipeline.connection import connect
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

POLL_S: Final = 0.3
_AGAIN: Final = "Nothing to do: the daemon checks it again, and the next `reclaim` includes it."
_TOO_YOUNG: Final = "by the server's clock it was uploaded too recently"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An execution, and the files of it that may be deleted.

    Attributes:
        unit: The execution.
        files, size_bytes: How many files may be deleted, and their size.
        stays: Why other files are kept, by path.
        why: Why all files are kept; None where some may be deleted.
    """

    unit: ExecutionRecord
    files: int
    size_bytes: int
    stays: dict[str, str] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What was deleted of an execution.

    Attributes:
        rid, prefix: Which one.
        files, size_bytes: What was deleted.
        stay: How many of its files are still here.
        why, next: Why they are kept, and what to do; None where no file is, or nobody knows.
        stays: Why single files are kept, by path, as far as that is known.
    """

    rid: str
    prefix: str
    files: int
    size_bytes: int
    stay: int
    why: str | None = None
    next: str | None = None
    stays: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReclaimRun:
    """One run of the command: shows what may be deleted, then has it deleted."""

    settings: Settings
    reader: Reader
    order: Reclaim

    @property
    def _server(self) -> str:
        return self.settings.server.name

    @property
    def _read_back(self) -> ReadBack:
        return self.order.read_back or self.settings.reclaim.read_back

    # ------------------------------------------------------------------ what may be deleted

    def candidates(self) -> list[Candidate]:
        """Return the executions that the order names, as far as is known without the server.

        Raises TroubleError for an execution that the journal does not have.
        """
        unit_reader = UnitReader.of(self.settings, self.reader)
        found = [self._candidate(unit, unit_reader) for unit in self._named()]
        return [each for each in found if each.files or each.why or self.order.rids]

    def _named(self) -> list[ExecutionRecord]:
        if not self.order.rids:
            found = reclaimable(self.reader, self._server)
            return [unit for unit in found if not self._objection(unit)]
        units: list[ExecutionRecord] = []
        for rid in self.order.rids:
            known = [u for u in self.reader.executions(rid=rid) if u.server == self._server]
            if not known:
                raise TroubleError(
                    f"cannot reclaim {rid}",
                    f"the journal {self.reader.path} has no such execution",
                    "`deriva-watch status` lists the executions.",
                )
            units += known
        return units

    def _candidate(self, unit: ExecutionRecord, unit_reader: UnitReader) -> Candidate:
        if why := self._objection(unit):
            return Candidate(unit, 0, 0, why=why)
        try:
            policy = reclaim_policy(unit)
            may_go, stays = Eligibility(self.reader, unit_reader).look(unit, policy)
        except RefusedError as error:
            return Candidate(unit, 0, 0, why=error.why)
        size_bytes = sum(each.file.size_bytes for each in may_go)
        reasons = {path: error.why for path, error in stays.items()}
        return Candidate(unit, len(may_go), size_bytes, reasons)

    def rehearse(
        self, candidates: Iterable[Candidate], moved: Callable[[int], None]
    ) -> list[Candidate]:
        """Return the candidates as they are after the checks that precede a removal.

        *moved* is called with the number of files checked so far. Raises the errors of
        `engine.ports`.
        """
        self._check_paused()
        checked = Counter[str]()

        def count(files: int) -> None:
            checked["files"] += files
            moved(checked["files"])

        with connect(self.settings) as connection:
            connection.server.session()
            call_retry = CallRetry(lambda _event: None, self.settings.server.host)
            check = ServerCheck(connection.catalog, connection.store, call_retry)
            rehearsal = Rehearsal(
                self.reader,
                UnitReader.of(self.settings, self.reader),
                Proof(check, connection.catalog.model, threading.Event()),
                count,
            )
            server_now = connection.server_time()
            return [self._rehearsed(each, rehearsal, server_now) for each in candidates]

    def _rehearsed(
        self, candidate: Candidate, rehearsal: Rehearsal, server_now: datetime | None
    ) -> Candidate:
        unit = candidate.unit
        if not candidate.files:
            return candidate
        passed = age(unit.changed_at, datetime.now(UTC), server_now)
        if passed < timedelta(seconds=self.order.older_than_s):
            return Candidate(unit, 0, 0, why=_TOO_YOUNG)
        found = rehearsal.rehearse(unit, reclaim_policy(unit, self._read_back))
        size_bytes = sum(file.size_bytes for file in found.files)
        return Candidate(unit, len(found.files), size_bytes, found.stays, found.why)

    def _objection(self, unit: ExecutionRecord) -> str | None:
        if unit.unit or not is_execution(unit.rid):
            return "it is not an execution directory; for a drop folder set `[[drop]] after`"
        if unit.state is not ExecutionState.UPLOADED:
            return f"it is {unit.state}, not uploaded"
        if unit.held:
            return "it is paused (`deriva-watch resume` ends that)"
        passed = age(unit.changed_at, datetime.now(UTC), None)
        if passed < timedelta(seconds=self.order.older_than_s):
            return f"it was uploaded only {passed.total_seconds() / 3600:.1f} h ago"
        return None

    # ------------------------------------------------------------------ deleting it

    def carry_out(
        self, candidates: Iterable[Candidate], moved: Callable[[int], None]
    ) -> Iterator[Result]:
        """Have the files deleted, by the daemon if one runs; yield the result for each execution.

        *moved* is called with the number of files deleted so far. Raises the errors of
        `engine.ports`, and TransientError if the daemon ends or cannot work: the order then stays
        queued.
        """
        units = [each.unit for each in candidates]
        self._check_paused()  # or the order would wait until somebody resumes
        before = self._gone(units)
        changed: set[str] = set()
        if self.reader.daemon():
            self._order(units, before, moved)
        else:
            changed = self._delete_here(self._shown(units))
        for unit in units:
            yield self._result(unit, before[unit.id], changed)

    def _gone(self, units: Sequence[ExecutionRecord]) -> dict[int, Amount]:
        """Return how many files of each execution were removed so far."""
        amounts = self.reader.amounts(unit.id for unit in units)
        return {u.id: amounts.get(u.id, {}).get(FileState.REMOVED, Amount()) for u in units}

    def _order(
        self,
        units: list[ExecutionRecord],
        before: Mapping[int, Amount],
        moved: Callable[[int], None],
    ) -> None:
        begun = sum(each.files for each in before.values())
        path = Orders(self.settings.state_directory / "orders").leave(self._shown(units))
        while path.exists():
            time.sleep(POLL_S)
            moved(sum(each.files for each in self._gone(units).values()) - begun)
            pid = self.reader.daemon()
            self._check_paused()
            what, then = (
                "the request is still queued",
                "The daemon carries it out once this is solved.",
            )
            if pid is None:
                raise TransientError(what, "the daemon has ended", then)
            for each in read_problems(self.settings.state_directory, pid):
                if each["about"] == "the server":
                    raise ServerAwayError(what, f"{each['what']}: {each['why']}", then)

    def _check_paused(self) -> None:
        if self.reader.paused():
            raise RefusedError(
                "nothing is deleted now", "this host is paused", "Give `deriva-watch resume` first."
            )

    def _shown(self, units: Iterable[ExecutionRecord]) -> Reclaim:
        """Limit the order to the executions that were shown to the user."""
        return replace(self.order, rids=tuple(unit.rid for unit in units))

    def _delete_here(self, order: Reclaim) -> set[str]:
        """Delete in this process, which has the journal; return the RIDs of changed directories."""
        stop, changed = threading.Event(), set[str]()
        with opened(self.settings, lambda _event: None, stop) as (connection, parts):
            connection.server.session()
            cleaner = UnitCleaner.of(parts, stop, lambda unit: changed.add(unit.name))
            cleaner.recover(reclaim_policy)
            retention, done = Retention(cleaner, parts.server_time, self._read_back), set[int]()
            while not retention.carry_out(order, done):
                parts.breaker.raise_if_tripped()
        return changed

    def _result(self, unit: ExecutionRecord, before: Amount, changed: set[str]) -> Result:
        files, now = self.reader.files(unit.id), self.reader.execution(unit.id)
        gone = self._gone([unit])[unit.id]
        stay = sum(f.state not in {FileState.REMOVED, FileState.GONE} for f in files)
        known = now.removal or {}
        why, then = known.get("why"), known.get("next")
        if now.state is not ExecutionState.UPLOADED or unit.rid in changed:
            why, then = now.why or "its directory has changed since it was uploaded", _AGAIN
        elif not why and stay:
            why = known.get("why_stay") or self._objection(now) or _TOO_YOUNG
            then = f"See `deriva-watch show {quote(unit.rid)}`."
        count, size_bytes = gone.files - before.files, gone.bytes - before.bytes
        stays = {f.path: f.why for f in files if f.state is not FileState.REMOVED and f.why}
        return Result(unit.rid, unit.prefix, count, size_bytes, stay, why, then, stays)
