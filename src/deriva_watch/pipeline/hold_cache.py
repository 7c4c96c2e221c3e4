"""Tells running work what a person holds back, without asking the journal at every block."""

from dataclasses import dataclass, field

from deriva_watch.core.orders.holds import Hold
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal.reads import Reads
from deriva_watch.engine.call_retry import InterruptedWorkError


@dataclass(slots=True)
class Halts:
    """What the journal said was held back when it was read last. Any thread may ask.

    Attributes:
        journal: What is read.
        all: What holds everything back, or None.
        held: The executions that are held back.
    """

    journal: Reads
    all: Hold | None = None
    held: tuple[ExecutionRecord, ...] = ()
    _numbers: frozenset[int] = frozenset()
    _files: dict[tuple[int, str], Hold] = field(default_factory=dict)

    def read(self) -> None:
        """Follow the journal; after every order, and before an execution is begun."""
        self.all = self.journal.paused()
        self.held = tuple(self.journal.held())
        self._numbers = frozenset(record.id for record in self.held)
        self._files = {
            (file.execution_id, file.path): hold
            for file in self.journal.held_files()
            if (hold := Hold.of(file.held))
        }

    def check(self, execution_id: int, rid: str, path: str | None = None) -> None:
        """Raise where work on an execution, or on a file of it, is to be put down.

        Raises InterruptedWorkError for the whole, RefusedError for the file alone.
        """
        if self.all or execution_id in self._numbers:
            raise InterruptedWorkError("a person holds it back")
        if path is not None and (hold := self._files.get((execution_id, path))):
            raise hold.refusal(rid, path)
