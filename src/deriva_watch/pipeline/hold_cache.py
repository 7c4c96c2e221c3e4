"""The work that people have paused or cancelled, without a journal query at every block."""

from dataclasses import dataclass, field

from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.core.orders.holds import Hold
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Reader


@dataclass(slots=True)
class HoldCache:
    """The holds as the journal had them at the last `reload`. Any thread may ask.

    Attributes:
        journal: Where they are read from.
        pause: The pause of all work, or None.
        held: The executions that are held back.
    """

    journal: Reader
    pause: Hold | None = None
    held: tuple[ExecutionRecord, ...] = ()
    _numbers: frozenset[int] = frozenset()
    _files: dict[tuple[int, str], Hold] = field(default_factory=dict)

    def reload(self) -> None:
        """Read the holds again; after every order, and before work on an execution begins."""
        self.pause = self.journal.paused()
        self.held = tuple(self.journal.held())
        self._numbers = frozenset(record.id for record in self.held)
        self._files = {
            (file.execution_id, file.path): hold
            for file in self.journal.held_files()
            if (hold := Hold.of(file.held))
        }

    def raise_if_held(self, execution_id: int, rid: str, path: str | None = None) -> None:
        """Raise where work on an execution, or on one of its files, must stop.

        Raises InterruptedWorkError for the execution, RefusedError for the file alone.
        """
        if self.pause or execution_id in self._numbers:
            raise InterruptedWorkError("a person holds it back")
        if path is not None and (hold := self._files.get((execution_id, path))):
            raise hold.refusal(rid, path)
