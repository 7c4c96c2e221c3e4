"""What a dead daemon's journal has as done, and which later calls repeat it."""

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import unquote

from system.difference import stored

STORED = frozenset({"stored", "recorded", "linked"})
RECORDED = STORED - {"stored"}
LINKED = frozenset({"linked"})


@dataclass(frozen=True)
class Memory:
    """The journal at one moment.

    Attributes:
        scene: The execution.
        states: Of its files, by path.
        chunks: The paths of those that were acknowledged.
        is_over: The execution is uploaded: nothing is left to do.
        taken: The paths of chunks and objects that the server has, known or not.
    """

    scene: object
    states: dict
    chunks: frozenset
    is_over: bool
    taken: frozenset

    @classmethod
    def of(cls, scene):
        """Read a copy of the journal, with nothing of ours, and the server's log."""
        state, copy = (scene.config.with_name(name) for name in ("state", "copy"))
        shutil.rmtree(copy, ignore_errors=True)
        files, executions = [], []
        if (state / "journal.db").exists():
            shutil.copytree(state, copy)
            with (
                closing(sqlite3.connect(copy / "journal.db")) as journal,
                suppress(
                    sqlite3.OperationalError  # no tables yet
                ),
            ):
                files = journal.execute("SELECT path, state, job FROM file").fetchall()
                executions = journal.execute("SELECT state FROM execution").fetchall()
        jobs = [json.loads(job) for *_, job in files if job is not None]
        return cls(
            scene,
            {path.decode(): state for path, state, _ in files},
            frozenset(f"{job['url']}/{number}" for job in jobs for number in job["chunks"]),
            executions == [("uploaded",)],
            frozenset(stored(scene.requests())),
        )

    def repeated(self, requests):
        """Return those of *requests* that write again what is done.

        What was under way when the process was killed, or had ended in the moment before, may be
        sent once more.
        """
        writing = [each for each in requests if each["method"] in {"PUT", "POST"}]
        objects = self._done(STORED, self._object)
        tables = self._done(RECORDED, lambda path: [self.scene.tables_of(path)[0]])
        tables |= self._done(LINKED, lambda path: self.scene.tables_of(path)[1])
        known = [
            each
            for each in writing
            if self.is_over
            or each["path"] in self.chunks
            or _plain(each).partition(";upload")[0] in objects
            or any(_plain(each).endswith(f"/entity/{table}") for table in tables)
        ]
        again = Counter(_plain(each) for each in writing if self._is_taken(_plain(each)))
        return [
            *(f"{each['method']} {each['path']}" for each in known),
            *(f"{count} times {path}" for path, count in again.items() if count > 1),
        ]

    def _is_taken(self, path):
        """Tell whether the server has a chunk or an object, which only one file has."""
        assets = self.scene.distinct()
        alone = sum(asset.object == path for asset in assets) < 2
        return path in self.taken and alone

    def _object(self, path):
        asset = self.scene.assets.get(path)
        return [asset.object] if asset else []

    def _done(self, states, names_of):
        """Return those names all of whose files have come to one of *states*."""
        paths = [*self.scene.assets, *self.scene.rows]
        names = {name for path in paths for name in names_of(path)}
        behind = [path for path in paths if self.states.get(path) not in states]
        return names - {name for path in behind for name in names_of(path)}


def _plain(request):
    return unquote(request["path"].partition("?")[0])
