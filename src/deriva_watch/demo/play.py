"""The whole demo, in order: server, one execution, daemon, the other executions, the check."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.states import ExecutionState
from deriva_watch.demo.check import Check, Inventory
from deriva_watch.demo.server import Server
from deriva_watch.demo.writer import Run, Step, begin, steps
from deriva_watch.status import open_views

_TIMEOUT_S: Final = 120.0
_LATENCY_MS: Final = 50  # a distant server, so that people can see the steps
_TICK_S: Final = 0.1
_STOP_S: Final = 20.0
_STOPPED: Final = 128 + signal.SIGTERM
_LAST_LINES: Final = 8


class Folder:
    """Where everything of a demo is.

    Attributes:
        config: The daemon's settings, where every command finds them.
        journal_url: The daemon's journal.
        receipts: Where the daemon keeps receipts.
        log: The daemon's log.
        sandbox: The server's data.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "deriva-watch.toml"
        self.journal_url = f"sqlite:///{root}/state/journal.db"
        self.receipts = root / "state" / "receipts"
        self.log = root / "daemon.log"
        self.sandbox = root / "sandbox"

    def write_config(self, ready: dict[str, str]) -> None:
        """Write the settings for the server that printed *ready*."""
        values = {**ready, "root": str(self.root)}
        escaped = {key: json.dumps(text, ensure_ascii=False)[1:-1] for key, text in values.items()}
        template = files("deriva_watch.demo") / self.config.name
        self.config.write_text(Template(template.read_text()).substitute(escaped))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a demo went.

    Attributes:
        figures: What was written, and what the server has of it.
        checks: What was compared.
        runs: The executions.
        seconds: How long it took.
        host: Where the server was.
    """

    figures: dict[str, int]
    checks: tuple[Check, ...]
    runs: tuple[Run, ...]
    seconds: float
    host: str

    @property
    def verified(self) -> bool:
        """Every check passed."""
        return all(check.passed for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Return the outcome for programs; fields are only ever added."""
        checks = [asdict(check) | {"passed": check.passed} for check in self.checks]
        ended = {"verified": self.verified, "seconds": self.seconds, "checks": checks}
        return {**self.figures, **ended}


@dataclass(frozen=True, slots=True)
class View:
    """How far an execution is, and why; *name* is its RID or its unit."""

    run: Run
    name: str
    state: str = ExecutionState.FILLING
    why: str = ""


Show = Callable[[Sequence[View]], None]


def look(journal_url: str, runs: Sequence[Run]) -> list[View]:
    """Return how far *runs* are; `filling` as long as the journal does not know them."""
    views = {run.rid: View(run, run.rid) for run in runs}
    with suppress(TroubleError):  # there may be no journal yet
        for each in open_views(journal_url).executions():
            for run in (run for run in runs if run.is_unit(each.prefix, each.rid)):
                views[run.rid] = View(run, each.rid, each.state, each.why or "")
    return list(views.values())


def play(folder: Folder, show: Show) -> Outcome:
    """Play the demo in *folder*; TroubleError if it cannot be completed."""
    start_s = time.monotonic()
    serve = ("sandbox", "--data", str(folder.sandbox), "--latency-ms", str(_LATENCY_MS))
    with _running("sandbox", folder, *serve) as sandbox:
        ready = sandbox.ready()
        server = Server(ready)
        folder.write_config(ready)
        runs = begin(server, folder.root)
        for _, step in steps(server, runs[:1]):
            step()
        to_do = steps(server, runs[1:])
        with _running("daemon", folder, "run", "--config", str(folder.config)) as daemon:
            _watch(folder, runs, (sandbox, daemon), to_do, show)
            status = daemon.stop()
        inventory = Inventory(server, runs)
        ended = (f"exit status {each} at SIGTERM" for each in (_STOPPED, status))
        checks = (*inventory.checks(folder.receipts), Check("daemon", *ended))
    seconds = round(time.monotonic() - start_s, 1)
    return Outcome(inventory.figures(), checks, tuple(runs), seconds, ready["host"])


def _watch(
    folder: Folder, runs: Sequence[Run], children: "Iterable[_Child]", to_do: list[Step], show: Show
) -> None:
    """Take the steps at their times, and show how far everything is until all is uploaded."""
    start_s = time.monotonic()
    while True:
        while to_do and to_do[0][0] <= time.monotonic() - start_s:
            to_do.pop(0)[1]()
        views = look(folder.journal_url, runs)
        show(views)
        pending = [view for view in views if view.state != ExecutionState.UPLOADED]
        if not to_do and not pending:
            return
        for child in children:
            child.check()
        refused = [view for view in pending if view.state == ExecutionState.REFUSED]
        if refused or time.monotonic() > start_s + _TIMEOUT_S:
            why = (f"{view.name} is {view.state}: {view.why}" for view in refused or pending)
            then = f"The daemon's log is {folder.log}."
            raise TroubleError("not every execution was uploaded", "\n  ".join(why), then)
        time.sleep(_TICK_S)


@dataclass(frozen=True, slots=True)
class _Child:
    """A process of the demo, and the log that its standard error goes to."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def ready(self) -> dict[str, str]:
        """Return the JSON that it prints when it is ready."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            self.process.wait()
            self.check()
        return dict(json.loads(line))

    def check(self) -> None:
        """Raise TroubleError, with the end of its log, if it has ended."""
        if self.process.poll() is None:
            return
        last = self.log.read_text(errors="backslashreplace").splitlines()[-_LAST_LINES:]
        raise TroubleError(
            f"the demo failed: the {self.name} ended with status {self.process.returncode}",
            "\n  ".join(last) or "it logged nothing",
            f"Its whole log is {self.log}.",
        )

    def stop(self) -> int:
        """End it by SIGTERM; return its exit status as a shell would show it."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_S)
        self.process.kill()  # no effect if it has ended
        status = self.process.wait()
        return status if status >= 0 else 128 - status


@contextmanager
def _running(name: str, folder: Folder, *words: str) -> Iterator[_Child]:
    """Run `deriva-watch` with *words*, and no settings from our environment, in the block."""
    command = [sys.executable, "-m", "deriva_watch", *words]
    env = {key: text for key, text in os.environ.items() if not key.startswith("DERIVA_WATCH_")}
    log, pipe = folder.root / f"{name}.log", subprocess.PIPE
    with (
        log.open("ab") as stream,
        # In a session of its own, so that Ctrl-C reaches it only through us.
        subprocess.Popen(  # noqa: S603  # ourselves
            command, stdout=pipe, stderr=stream, text=True, env=env, start_new_session=True
        ) as process,
    ):
        child = _Child(name, process, log)
        try:
            yield child
        finally:
            child.stop()
