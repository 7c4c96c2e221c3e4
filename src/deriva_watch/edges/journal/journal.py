"""The journal as the daemon has it: the only one that writes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Engine

from deriva_watch.core.changes import Change, MoveExecution
from deriva_watch.core.errors import JournalDamagedError
from deriva_watch.core.events import Event, JournalReplaced
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import DamagedJournal, ExecutionFacts, ExecutionRecord, FileFacts
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.core.stats.day import Sample
from deriva_watch.edges.journal import problems
from deriva_watch.edges.journal.database import clean_stop, lock, quarantine, sqlite
from deriva_watch.edges.journal.database.migration import migrate
from deriva_watch.edges.journal.pruning import Pruning
from deriva_watch.edges.journal.reader import Reader
from deriva_watch.edges.journal.transaction import Batch, Transaction
from deriva_watch.edges.journal.writer import Writer


class Clock(Protocol):
    """The source of the time; tests bring their own."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Journal(Reader):
    """The memory of one daemon. Every method may be called from any thread."""

    def __init__(self, path: Path, engine: Engine, writer: Writer, opened: "_Opened") -> None:
        super().__init__(path, engine, in_use=True)
        self._writer = writer
        self._opened = opened

    @classmethod
    def open(
        cls,
        url: str,
        *,
        emit: Callable[[Event], None],
        clock: Clock | None = None,
        keep_history: timedelta | None = None,
    ) -> Self:
        """Take the journal at *url*; create, migrate or replace it as needed.

        A damaged journal is renamed and a new one started.

        Args:
            url: "sqlite:////absolute/path".
            emit: Receives every event once its change is durable, in the journal's own thread;
                it must neither block nor call `commit`.
            clock: Tells the time; the system's clock by default.
            keep_history: How long the steps of uploaded files are kept; None: for ever.

        Raises:
            JournalHeldError: Another process holds it.
            TroubleError: A newer release wrote it, or it cannot be written.
        """
        path, now = sqlite.path_of(url), (clock or _SystemClock()).now
        with problems.explained("open", path), ExitStack() as held, ExitStack() as parts:
            sqlite.create_file(path)
            held_lock = lock.take(path)
            held.callback(held_lock.release)
            is_sound = clean_stop.is_known(path, held_lock.note)
            engine, replaced = _open_or_replace(path, now(), is_sound=is_sound)
            parts.callback(engine.dispose)
            writer = Writer(engine, path, emit, now, Pruning(keep_history))
            parts.callback(writer.close)
            reading = sqlite.reader_engine(path)
            parts.callback(reading.dispose)
            opened = _Opened(parts.pop_all(), held_lock, path.stat().st_ino, now)
            journal = cls(path, reading, writer, opened)
            held.pop_all()
        for each in replaced:
            emit(JournalReplaced(path=each.path, **problems.replaced(path, each).sentence()))
        return journal

    def close(self) -> None:
        """Finish what was asked for and release the journal; closing again is fine."""
        self.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Close it; if *error* says that it is damaged, rename it whatever a later check finds."""
        opened, note = self._opened, ""
        try:
            opened.parts.close()
            if isinstance(error, JournalDamagedError):
                with problems.explained("replace", self.path):
                    quarantine.rename_damaged(self.path, opened.now(), opened.inode)
            elif error is None and not self._writer.found_damage:
                note = clean_stop.note(self.path, opened.inode)
        finally:
            opened.lock.release(note)

    def commit(self, changes: Sequence[Change]) -> list[int]:
        """Write all *changes* or none; return once they are durable and their events are out.

        Returns:
            One number per change: the id of the file or execution.

        Raises:
            IllegalTransitionError: A trigger is not allowed in the current state.
            KeyError: There is no such file or execution.
            ValueError: A file is added that exists already.
            TroubleError: The journal cannot be written.
        """
        return self.submit(changes).result()

    def submit(self, changes: Sequence[Change]) -> Future[list[int]]:
        """Queue *changes* and return at once; the future has the result or the error of `commit`.

        Requests are written in the order of the calls, many in one transaction; one that fails
        fails alone. Nothing is durable before its future is done. What is queued while the journal
        is busy may wait 50 ms for more; whoever asks the future for its result ends that wait.

        The changes must not be modified afterwards. A callback of the future runs in the journal's
        own thread: it must neither block nor call `commit`.
        """
        queued = tuple(changes)
        return self._writer.submit(lambda transaction: transaction.apply(queued), queued)

    def move(
        self,
        record: ExecutionRecord,
        trigger: ExecutionTrigger,
        facts: ExecutionFacts | None = None,
    ) -> ExecutionRecord:
        """Apply *trigger* to an execution, set *facts*, and return it as it is then.

        Raises as `commit`.
        """
        self.commit([MoveExecution(record.id, trigger, facts or {})])
        return self.execution(record.id)

    def open_execution(
        self, server: str, prefix: str, rid: str, unit: str | None = None
    ) -> ExecutionRecord:
        """Return the execution of a directory; a new one starts in FILLING."""
        return self._writer.ask(lambda changes: changes.open_execution(server, prefix, rid, unit))

    def open_batch(
        self, opened: Batch, members: Mapping[str, FileFacts], facts: ExecutionFacts
    ) -> ExecutionRecord:
        """Add a batch of a drop folder, in READY, with all its *members*, in one transaction.

        Raises ValueError if there is already one of that name.
        """
        return self._writer.ask(lambda changes: changes.open_batch(opened, members, facts))

    def claim(
        self, server: str | None = None, closed: Collection[str] = ()
    ) -> ExecutionRecord | None:
        """Move the execution that has been READY longest to UPLOADING and return it, or None.

        With *server*, "host/catalog", only one that goes there: the settings may have changed. None
        of the prefixes *closed* is taken.
        """
        return self._writer.ask(lambda changes: changes.claim(server, closed))

    def hold(self, execution_id: int, hold: Hold) -> None:
        """Hold an execution: now, or when the worker that has it finishes."""
        self._writer.ask(lambda changes: changes.hold(execution_id, hold))

    def release(
        self, execution_id: int, kind: HoldKind, facts: ExecutionFacts | None = None
    ) -> None:
        """End the hold of an execution and set *facts*; do nothing if it has no hold of *kind*."""
        self._writer.ask(lambda changes: changes.release(execution_id, kind, facts or {}))

    def hold_file(self, execution_id: int, path: str, hold: Hold) -> bool:
        """Cancel a file of an execution; return False if the caller must try again later.

        A file in the catalog stays there. If a worker has the execution, the worker refuses the
        file; False: the worker does not know the file yet.
        """
        return self._writer.ask(lambda changes: changes.hold_file(execution_id, path, hold))

    def release_file(self, execution_id: int, path: str) -> None:
        """End the hold of a file: the next attempt at its execution includes it."""
        self._writer.ask(lambda changes: changes.release_file(execution_id, path))

    def pause(self, hold: Hold | None) -> None:
        """Pause all work; None ends the pause."""
        self._writer.ask(lambda changes: changes.pause(hold))

    def uptime_s(self, boot: str, boot_s: float) -> float:
        """Return how many seconds this host has been on since the first call for this journal.

        Args:
            boot: Identifies the current boot of the host.
            boot_s: Seconds since that boot, by a clock that nobody can set.
        """
        return self._writer.ask(lambda changes: changes.uptime_s(boot, boot_s))

    def keep_sample(self, new: Sample) -> None:
        """Keep a sample for the chart of the last day; bytes sent in the same step add up."""
        self._writer.ask(lambda changes: changes.keep_sample(new))

    def void_claims(self) -> list[int]:
        """Move what a dead daemon left in UPLOADING back to READY; call it before any claim."""
        return self._writer.ask(Transaction.void_claims)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a journal has open: its parts, its lock (released last), and the inode of its file."""

    parts: ExitStack
    lock: lock.Lock
    inode: int
    now: Callable[[], datetime]


def _open_or_replace(
    path: Path, now: datetime, *, is_sound: bool
) -> tuple[Engine, list[DamagedJournal]]:
    """Return an engine for a sound journal, and the damaged ones that a new journal replaces."""
    try:
        return _open(path, now, None, is_sound=is_sound)
    except JournalDamagedError as error:
        quarantine.rename_damaged(path, now)
        sqlite.create_file(path)
        return _open(path, now, error.why)


def _open(
    path: Path, now: datetime, damage: str | None, *, is_sound: bool = False
) -> tuple[Engine, list[DamagedJournal]]:
    """Check and migrate the journal; *damage* is why the previous one was just renamed."""
    with problems.explained("open", path), ExitStack() as opened:
        engine = sqlite.writer_engine(path)
        opened.callback(engine.dispose)
        with engine.begin() as connection:
            if not is_sound:
                sqlite.check(connection, path)
            is_new = migrate(connection, path)
            replaced = quarantine.record_damaged(connection, path, now, damage) if is_new else []
        opened.pop_all()
        return engine, replaced
