"""What a dead daemon's journal has as done, and which later calls repeat it."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import unquote

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
    """

    scene: object
    states: dict
    chunks: frozenset
    is_over: bool

    @classmethod
    def of(cls, scene):
        """Read a copy of the journal, with nothing of ours."""
        state, copy = (scene.config.with_name(name) for name in ("state", "copy"))
        shutil.rmtree(copy, ignore_errors=True)
        if not (state / "journal.db").exists():
            return cls(scene, {}, frozenset(), is_over=False)
        shutil.copytree(state, copy)
        with closing(sqlite3.connect(copy / "journal.db")) as journal:
            if not journal.execute("SELECT * FROM sqlite_master WHERE name = 'file'").fetchall():
                return cls(scene, {}, frozenset(), is_over=False)
            files = journal.execute("SELECT path, state, job FROM file").fetchall()
            over = journal.execute("SELECT state FROM execution").fetchall() == [("uploaded",)]
        jobs = [json.loads(job) for *_, job in files if job is not None]
        return cls(
            scene,
            {path.decode(): state for path, state, _ in files},
            frozenset(f"{job['url']}/{number}" for job in jobs for number in job["chunks"]),
            over,
        )

    def repeated(self, requests):
        """Return those of *requests* that write again what is done."""
        writing = [each for each in requests if each["method"] in {"PUT", "POST"}]
        objects = self._done(STORED, self._object)
        tables = self._done(RECORDED, lambda path: [self.scene.tables_of(path)[0]])
        tables |= self._done(LINKED, lambda path: self.scene.tables_of(path)[1])
        return [
            f"{each['method']} {each['path']}"
            for each in writing
            if self.is_over
            or each["path"] in self.chunks
            or unquote(each["path"].partition(";upload")[0].partition("?")[0]) in objects
            or any(f"/entity/{table}?" in unquote(each["path"]) for table in tables)
        ]

    def _object(self, path):
        asset = self.scene.assets.get(path)
        return [asset.object] if asset else []

    def _done(self, states, names_of):
        """Return those names all of whose files have come to one of *states*."""
        paths = [*self.scene.assets, *self.scene.rows]
        names = {name for path in paths for name in names_of(path)}
        behind = [path for path in paths if self.states.get(path) not in states]
        return names - {name for path in behind for name in names_of(path)}
