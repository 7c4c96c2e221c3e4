"""Programs and instruments that write, and know what they wrote."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deriva_watch.core.model import CatalogModel, read_model
from deriva_watch.demo.layouts import BATCH, Asset, Desk
from deriva_watch.demo.script import WORKFLOW, File, Script
from deriva_watch.demo.server import Server


@dataclass(slots=True)
class Written:
    """A file as far as it is written.

    Attributes:
        asset: What is said of it.
        path: Where it lies.
        name: The same, below the root of its run.
        size_bytes: Its length so far.
        md5, sha256: Of its content so far.
    """

    asset: Asset
    path: Path
    name: str
    size_bytes: int = 0
    md5: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: Any = field(default_factory=hashlib.sha256)

    def append(self, piece: bytes) -> None:
        """Write one more piece."""
        with self.path.open("ab") as file:
            file.write(piece)
        self.size_bytes += len(piece)
        self.md5.update(piece)
        self.sha256.update(piece)


@dataclass(slots=True)
class Run:
    """An execution while it is written.

    Attributes:
        script: What it does.
        rid: The RID of its row; the name of its unit, or how that begins, in a drop folder.
        prefix: The folder that is watched.
        root: Its directory.
        files: Its files, in the order of the script.
        heard: How long the server's log of requests was when it ended.
    """

    script: Script
    rid: str
    prefix: Path
    root: Path
    files: tuple[Written, ...]
    heard: int = 0

    def is_unit(self, prefix: str, rid: str) -> bool:
        """Tell whether the journal's name of a directory is ours."""
        same = rid == self.rid or (self.rid == BATCH and rid.startswith(BATCH))
        return same and prefix == str(self.prefix)


class Producer:
    """Writes executions.

    Args:
        server: Where their rows are.
        requests: The server's log of requests.
        root: The folder that will hold the prefix and the drop folders.
    """

    def __init__(self, server: Server, requests: Path, root: Path) -> None:
        self._server = server
        self._requests = requests
        self._root = root
        self._model: CatalogModel = read_model(server.schema())

    def begin(self, scripts: Sequence[Script]) -> list[Run]:
        """Make a directory for each of *scripts*, and a row where it knows of deriva-ml.

        No file is there yet.
        """
        rids = iter(self._rows([script for script in scripts if not script.layout.unit]))
        return [self._run(script, script.layout.unit or next(rids)) for script in scripts]

    def _rows(self, scripts: Sequence[Script]) -> list[str]:
        rows = (
            {"Workflow": WORKFLOW, "Description": script.title, "Status": script.status}
            for script in scripts
        )
        return [row["RID"] for row in self._server.insert("deriva-ml:Execution", rows)]

    def _run(self, script: Script, rid: str) -> Run:
        desk = self._desk(script, rid)
        root = script.layout.root(desk)
        paths = [script.layout.path(desk, file.asset) for file in script.files]
        files = (
            Written(file.asset, path, path.relative_to(root).as_posix())
            for file, path in zip(script.files, paths, strict=True)
        )
        return Run(script, rid, desk.prefix, root, tuple(files))

    def _desk(self, script: Script, rid: str) -> Desk:
        return Desk(self._root / script.layout.folder, rid, self._model)

    def play(self, runs: Sequence[Run], stop: threading.Event) -> None:
        """Write everything at its time; return when all runs have ended, or at *stop*."""
        begin_s = time.monotonic()
        steps = sorted((step for run in runs for step in self._steps(run)), key=lambda s: s[0])
        for at_s, do in steps:
            if stop.wait(max(0.0, begin_s + at_s - time.monotonic())):
                return
            do()

    def _steps(self, run: Run) -> Iterator[tuple[float, Callable[[], None]]]:
        for file, written in zip(run.script.files, run.files, strict=True):
            for at_s, number in file.pieces():
                yield at_s, partial(self._append, run, file, written, number)
        yield run.script.end_s, partial(self._end, run)

    def _append(self, run: Run, file: File, written: Written, number: int) -> None:
        if number == 0:
            run.script.layout.register(self._desk(run.script, run.rid), file.asset)
        written.append(file.content(number))

    def _end(self, run: Run) -> None:
        run.heard = self._requests.stat().st_size
        if run.script.says_done == "Stopped":
            self._server.set_status(run.rid, "Stopped")
        elif run.script.says_done:
            (run.root / run.script.says_done).touch()
