"""What a person asks of the daemon, which holds the journal: small files in the state directory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, MoveExecution, NoteExecution
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionTrigger
from deriva_watch.edges.journal import Journal
from deriva_watch.settings import Settings


@dataclass(frozen=True, slots=True)
class Retry:
    """Try an execution again, or all that were refused or wait.

    Attributes:
        rid: The execution, None for all.
        this_catalog: It belongs to this catalog, whatever the signs say.
    """

    rid: str | None
    this_catalog: bool = False

    def apply(self, journal: Journal) -> list[ExecutionRecord]:
        """Move what is asked for; return the executions as they were before."""
        wanted = [
            record
            for record in journal.executions()
            if ExecutionTrigger.RETRIED in EXECUTION_TRANSITIONS[record.state]
            and (record.rid == self.rid or (self.rid is None and record.why))
        ]
        for record in wanted:
            facts: ExecutionFacts = {
                "attempts": 0,
                "next_at": None,
                "verdict": {**(record.verdict or {}), "insisted": True},
                "ours": record.ours or self.this_catalog,
            }
            journal.commit(
                [
                    MoveExecution(record.id, ExecutionTrigger.RETRIED),
                    NoteExecution(record.id, facts),
                ]
            )
        return wanted


@dataclass(frozen=True, slots=True)
class Orders:
    """The folder that orders lie in."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the orders for the daemon of these settings."""
        return cls(settings.state_directory / "orders")

    def leave(self, order: Retry) -> None:
        """Leave an order; a running daemon takes it within a second, else the next one does."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{uuid4().hex}.json"
        hidden = path.with_suffix(".new")
        hidden.write_text(json.dumps({"rid": order.rid, "this_catalog": order.this_catalog}))
        hidden.rename(path)

    def take(self, journal: Journal) -> Iterator[ExecutionRecord]:
        """Do every order that lies there; yield the executions to look at."""
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else ():
            order = json.loads(path.read_text())
            yield from Retry(order["rid"], order["this_catalog"]).apply(journal)
            path.unlink()
