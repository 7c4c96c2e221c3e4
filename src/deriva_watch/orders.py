"""What a person asks of the daemon, which holds the journal: small files in the state directory."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Self
from uuid import uuid4

from deriva_watch.core.errors import SettingsError, TroubleError
from deriva_watch.core.records import ExecutionFacts, ExecutionRecord, MoveExecution, NoteExecution
from deriva_watch.core.states import EXECUTION_TRANSITIONS, ExecutionTrigger
from deriva_watch.edges.journal import Journal, Reader
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

    def check(self, reader: Reader) -> list[ExecutionRecord]:
        """Return the executions that it would move now.

        Raises TroubleError where the one that it names cannot be tried again.
        """
        wanted = self._wanted(reader)
        if wanted or self.rid is None:
            return wanted
        known = reader.executions(rid=self.rid)
        states = " and ".join(sorted({record.state.value for record in known}))
        why = f"it is {states}" if known else f"the journal {reader.path} has no such execution"
        raise TroubleError(
            f"cannot try {self.rid} again",
            why,
            f"`deriva-watch show {quote(self.rid)}` tells what it waits for."
            if known
            else "`deriva-watch status` lists what is refused or waits.",
        )

    def apply(self, journal: Journal) -> list[ExecutionRecord]:
        """Move what is asked for; return the executions as they were before."""
        wanted = self._wanted(journal)
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

    def _wanted(self, journal: Journal | Reader) -> list[ExecutionRecord]:
        return [
            record
            for record in journal.executions(rid=self.rid)
            if ExecutionTrigger.RETRIED in EXECUTION_TRANSITIONS[record.state]
            and (self.rid or record.why)
        ]


@dataclass(frozen=True, slots=True)
class Orders:
    """The folder that orders lie in."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the orders for the daemon of these settings."""
        return cls(settings.state_directory / "orders")

    def leave(self, order: Retry) -> None:
        """Leave an order; a running daemon takes it within a second, else the next one does.

        It belongs to the daemon's user, whom the state directory belongs to, also where root
        leaves it.

        Raises SettingsError where it cannot be left.
        """
        path = self.folder / f"{uuid4().hex}.json"
        hidden = path.with_suffix(".new")
        with _explained("leave an order in", self.folder):
            self._make_folder()
            hidden.write_text(json.dumps({"rid": order.rid, "this_catalog": order.this_catalog}))
            self._give_away(hidden)
            hidden.rename(path)

    def take(self, journal: Journal) -> Iterator[ExecutionRecord]:
        """Do every order that lies there; yield the executions to look at.

        Raises SettingsError where one cannot be read or removed.
        """
        with _explained("take the orders in", self.folder):
            self._make_folder()
            names = sorted(os.listdir(self.folder))  # noqa: PTH208  # glob says nothing of rights
            for path in (self.folder / name for name in names if name.endswith(".json")):
                order = json.loads(path.read_text())
                yield from Retry(order["rid"], order["this_catalog"]).apply(journal)
                path.unlink()

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700)
            self._give_away(self.folder)

    def _give_away(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = self.folder.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def _explained(verb: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot {verb} {folder}",
            f"{error.strerror}: {error.filename}",
            "Let the user that runs deriva-watch have it, or give the command as that user.",
        ) from error
