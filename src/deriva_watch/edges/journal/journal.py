"""The journal that a daemon holds, and the view of it that anybody may open."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Engine

from deriva_watch.core.events import Event
from deriva_watch.core.records import Change, ExecutionRecord
from deriva_watch.edges.journal import lock, sqlite, trouble
from deriva_watch.edges.journal.changes import Changes
from deriva_watch.edges.journal.reads import Reads
from deriva_watch.edges.journal.revision import migrate, require
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

    def __init__(self, path: Path, engine: Engine, writer: Writer, opened: ExitStack) -> None:
        super().__init__(path, engine)
        self._writer = writer
        self._opened = opened

    @classmethod
    def open(cls, url: str, *, emit: Callable[[Event], None], clock: Clock | None = None) -> Self:
        """Take the journal at *url*, making or migrating it as needed.

        Args:
            url: "sqlite:////absolute/path".
            emit: Is given every event once its change is durable, in the journal's own thread;
                it must neither block nor call `commit`.
            clock: Brings the time; the system's by default.

        Raises:
            JournalHeldError: Another process works on it.
            TroubleError: It is damaged, of a newer release, or cannot be written.
        """
        path = sqlite.path_of(url)
        with trouble.explained("open", path), ExitStack() as opened:
            sqlite.create_file(path)
            opened.callback(os.close, lock.hold(path))
            engine = sqlite.writer_engine(path)
            opened.callback(engine.dispose)
            with engine.begin() as connection:
                sqlite.check(connection, path)
                migrate(connection, path)
            writer = Writer(engine, path, emit, (clock or _SystemClock()).now)
            opened.callback(writer.close)
            reading = sqlite.reader_engine(path)
            opened.callback(reading.dispose)
            return cls(path, reading, writer, opened.pop_all())

    def close(self) -> None:
        """Write what was asked for and let the journal go; closing again is fine."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    def open_execution(self, server: str, prefix: str, rid: str) -> ExecutionRecord:
        """Return the execution of that directory; a new one enters in FILLING."""
        return self._writer.ask(lambda changes: changes.open_execution(server, prefix, rid))

    def claim(self, server: str | None = None) -> ExecutionRecord | None:
        """Take the execution that is ready for longest, or None; it is in UPLOADING now.

        With *server*, "host/catalog", one that goes there: settings may have changed since.
        """
        return self._writer.ask(lambda unit: unit.claim(server))

    def void_claims(self) -> list[int]:
        """Give back what a dead daemon left in UPLOADING; call it before the first claim."""
        return self._writer.ask(Changes.void_claims)


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
