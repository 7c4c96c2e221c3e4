"""The journal that a daemon holds, and the view of it that anybody may open."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Engine

from deriva_watch.core.errors import JournalDamagedError
from deriva_watch.core.events import Event, JournalReplaced
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.records import (
    Change,
    ExecutionFacts,
    ExecutionRecord,
    FileFacts,
    SetAside,
)
from deriva_watch.core.stats.day import Sample
from deriva_watch.edges.journal import aside, sqlite, trouble
from deriva_watch.edges.journal.changes import Batch, Changes
from deriva_watch.edges.journal.examining import migrate, require
from deriva_watch.edges.journal.reads import Reads
from deriva_watch.edges.journal.writer import Writer


class Clock(Protocol):
    """Time, brought by the caller so that tests can turn it."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...


class _SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Journal(Reads):
    """The memory of one daemon. Every method may be called from any thread."""

    def __init__(self, path: Path, engine: Engine, writer: Writer, opened: "_Opened") -> None:
        super().__init__(path, engine, in_use=True)
        self._writer = writer
        self._opened = opened

    @classmethod
    def open(cls, url: str, *, emit: Callable[[Event], None], clock: Clock | None = None) -> Self:
        """Take the journal at *url*, making or migrating it as needed.

        One that is damaged is set aside, and a new one begun.

        Args:
            url: "sqlite:////absolute/path".
            emit: Is given every event once its change is durable, in the journal's own thread;
                it must neither block nor call `commit`.
            clock: Brings the time; the system's by default.

        Raises:
            JournalHeldError: Another process works on it.
            TroubleError: It is of a newer release, or cannot be written.
        """
        path, now = sqlite.path_of(url), (clock or _SystemClock()).now
        with trouble.explained("open", path), ExitStack() as held, ExitStack() as parts:
            sqlite.create_file(path)
            held.callback(os.close, sqlite.hold(path))
            engine, after = _begun(path, now())
            parts.callback(engine.dispose)
            writer = Writer(engine, path, emit, now)
            parts.callback(writer.close)
            reading = sqlite.reader_engine(path)
            parts.callback(reading.dispose)
            inode = path.stat().st_ino
            opened = _Opened(parts.pop_all(), held.pop_all(), inode, now)
            journal = cls(path, reading, writer, opened)
        for each in after:
            emit(JournalReplaced(path=each.path, **trouble.was_set_aside(path, each).sentence()))
        return journal

    def close(self) -> None:
        """Write what was asked for and let the journal go; closing again is fine."""
        self._opened.parts.close()
        self._opened.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        """Close it; what was found to be damaged is set aside, whatever a check finds later."""
        self._opened.parts.close()
        with self._opened.lock:
            if isinstance(error, JournalDamagedError):
                with trouble.explained("set aside", self.path):
                    aside.put_away(self.path, self._opened.now(), self._opened.inode)

    def commit(self, changes: Sequence[Change]) -> list[int]:
        """Write all *changes* or none; return once they are durable and their events are out.

        Returns:
            One number a change: the id of the file or execution.

        Raises:
            IllegalTransitionError: No road leads there.
            KeyError: There is no such file or execution.
            ValueError: A file is added that is there already.
            TroubleError: The journal cannot be written.
        """
        return self._writer.ask(lambda transaction: transaction.apply(changes), changes)

    def open_execution(
        self, server: str, prefix: str, rid: str, unit: str | None = None
    ) -> ExecutionRecord:
        """Return the execution of that directory; a new one enters in FILLING."""
        return self._writer.ask(lambda changes: changes.open_execution(server, prefix, rid, unit))

    def open_batch(
        self, opened: Batch, members: Mapping[str, FileFacts], facts: ExecutionFacts
    ) -> ExecutionRecord:
        """Open a batch of a drop folder with all its *members*: it is READY, or does not exist.

        Raises ValueError where there is one of that name.
        """
        return self._writer.ask(lambda changes: changes.open_batch(opened, members, facts))

    def claim(self, server: str | None = None) -> ExecutionRecord | None:
        """Take the execution that is ready for longest, or None; it is in UPLOADING now.

        With *server*, "host/catalog", one that goes there: settings may have changed since.
        """
        return self._writer.ask(lambda unit: unit.claim(server))

    def hold(self, execution_id: int, hold: Hold) -> None:
        """Hold an execution back: at once, or as soon as the worker that has it puts it down."""
        self._writer.ask(lambda unit: unit.hold(execution_id, hold))

    def release(
        self, execution_id: int, kind: HoldKind, facts: ExecutionFacts | None = None
    ) -> None:
        """Let an execution that is held by *kind* go on, and set *facts*; else do nothing."""
        self._writer.ask(lambda unit: unit.release(execution_id, kind, facts or {}))

    def hold_file(self, execution_id: int, path: str, hold: Hold) -> bool:
        """Cancel a file of an execution; False: ask again, a worker is about to learn of it.

        One that is in the catalog stays there. A worker that has its execution refuses it.
        """
        return self._writer.ask(lambda unit: unit.hold_file(execution_id, path, hold))

    def release_file(self, execution_id: int, path: str) -> None:
        """Let a file that was cancelled be tried with the next attempt at its execution."""
        self._writer.ask(lambda unit: unit.release_file(execution_id, path))

    def pause(self, hold: Hold | None) -> None:
        """Hold everything back, or, None, nothing as a whole any more."""
        self._writer.ask(lambda unit: unit.pause(hold))

    def uptime_s(self, boot: str, boot_s: float) -> float:
        """Return how long this host has been on since the journal was first asked, in seconds.

        Args:
            boot: Which start of the host this is.
            boot_s: How long ago that was, by a clock that nobody sets.
        """
        return self._writer.ask(lambda unit: unit.uptime_s(boot, boot_s))

    def keep_sample(self, new: Sample) -> None:
        """Keep a sample for the chart of the last day; what one step sent is added up."""
        self._writer.ask(lambda unit: unit.keep_sample(new))

    def void_claims(self) -> list[int]:
        """Give back what a dead daemon left in UPLOADING; call it before the first claim."""
        return self._writer.ask(Changes.void_claims)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a journal has open: its parts, then its lock; and which file it took."""

    parts: ExitStack
    lock: ExitStack
    inode: int
    now: Callable[[], datetime]


def _begun(path: Path, now: datetime) -> tuple[Engine, list[SetAside]]:
    """Return what writes a sound journal, and which ones a new one comes after."""
    try:
        return _sound(path, now, None)
    except JournalDamagedError as error:
        aside.put_away(path, now)
        sqlite.create_file(path)
        return _sound(path, now, error.why)


def _sound(path: Path, now: datetime, damage: str | None) -> tuple[Engine, list[SetAside]]:
    """As `_begun`; *damage* is what was wrong with the one just set aside."""
    with trouble.explained("open", path), ExitStack() as opened:
        engine = sqlite.writer_engine(path)
        opened.callback(engine.dispose)
        with engine.begin() as connection:
            sqlite.check(connection, path)
            is_new = migrate(connection, path)
            after = aside.remember(connection, path, now, damage) if is_new else []
        opened.pop_all()
        return engine, after


class Reader(Reads):
    """A view of the journal that writes nothing and keeps nothing open between two questions."""


def open_readonly(url: str) -> Reader:
    """Return a view of the journal at *url*; TroubleError where there is none yet."""
    path = sqlite.path_of(url)
    with trouble.explained("read", path):
        try:
            path.open("rb").close()
        except FileNotFoundError:
            raise trouble.missing(path) from None
        engine = sqlite.outside_engine(path)
        with engine.connect() as connection:
            require(connection, path)
    return Reader(path, engine)
