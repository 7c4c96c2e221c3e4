"""The whole demo, in order: server, one execution, daemon, all others, the check."""

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.states import ExecutionState
from deriva_watch.demo import script
from deriva_watch.demo.check import Check, Inventory
from deriva_watch.demo.layouts import Scans, SequencerRun
from deriva_watch.demo.processes import Child, running
from deriva_watch.demo.producer import Producer, Run
from deriva_watch.demo.screen import RunView, Show, look
from deriva_watch.demo.server import Server

TIMEOUT_S: Final = 120.0
_LATENCY_MS: Final = 50  # as if the server were in another town: the steps can be seen
_TICK_S: Final = 0.1
_STOPPED: Final = 128 + signal.SIGTERM

_CONFIG: Final = r"""# Written by `deriva-watch demo`; config.example.toml explains every key.
[server]
host = {host}
catalog = {catalog}
protocol = "http"
credential_file = {owner_credential_file}

[[watch]]
prefix = {prefix}
rescan_s = 1            # asks for the executions' status every second

# An instrument that knows nothing of deriva-ml: what it writes within batch_s
# becomes one execution; the subject in the path stands for its row.
[[drop]]
path = {scanner}
table = "Image"
pattern = '(?P<subject>[^/]+)/(?P<Acquisition_Date>\d{{4}}-\d\d-\d\d)/[^/]+\.dcm'
lookup.Subject = {{ table = "Subject", column = "Name", value = "{{subject}}" }}
asset_types = ["Image"]
unit = "batch"
batch_s = 6
quiet_s = 1
workflow = {workflow}
description = {scans}

# Another one: each folder is an execution. A run may pause for long, but no longer
# once CopyComplete.txt is there.
[[drop]]
path = {sequencer}
table = "Sequencer_File"
pattern = '(?P<Run>\d+_(?P<Instrument>[^_]+)_[^/]+)/(.*/L00(?P<Lane>\d)/C(?P<Cycle>\d+)\.1/)?.+'
asset_types = ["Output_File"]
unit = "directory"
markers = ["CopyComplete.txt"]
quiet_s = 60
workflow = {workflow}
description = {runs}

[completion]            # everything is done within seconds here
quiet_s = {quiet_s}
quiet_after_signal_s = 1
grace_s = 1

[transfer]
chunk_bytes = "4MiB"    # so that the model goes in many pieces

[journal]
url = {journal_url}

[status]
listen = ""             # nothing stays to be looked at
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of a demo lies."""

    root: Path

    @property
    def config(self) -> Path:
        """The daemon's settings, where every command finds them."""
        return self.root / "deriva-watch.toml"

    @property
    def prefix(self) -> Path:
        """The folder that holds `deriva-ml/`."""
        return self.root / "data"

    @property
    def scanner(self) -> Path:
        """Where the scanner drops its images."""
        return self.root / Scans.folder

    @property
    def sequencer(self) -> Path:
        """Where the sequencer drops its runs."""
        return self.root / SequencerRun.folder

    @property
    def journal_url(self) -> str:
        """The daemon's memory."""
        return f"sqlite:///{self.root / 'state' / 'journal.db'}"

    @property
    def receipts(self) -> Path:
        """Where the daemon keeps all receipts; those of batches are nowhere else."""
        return self.root / "state" / "receipts"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.root / "daemon.log"

    @property
    def sandbox(self) -> Path:
        """What the server keeps."""
        return self.root / "sandbox"

    @property
    def sandbox_log(self) -> Path:
        """What the server says on standard error."""
        return self.root / "sandbox.log"

    @property
    def requests(self) -> Path:
        """The server's log of requests."""
        return self.sandbox / "requests.jsonl"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a demo went.

    Attributes:
        figures: Counted on the server.
        checks: What was asked of it.
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


def play(folder: Folder, show: Show) -> Outcome:
    """Play the demo in *folder*; TroubleError where it cannot come to its end."""
    start_s = time.monotonic()
    serve = ("sandbox", "--data", str(folder.sandbox), "--latency-ms", str(_LATENCY_MS))
    watch = ("run", "--config", str(folder.config))
    with _ended_by_signals(), running("the server", folder.sandbox_log, *serve) as sandbox:
        ready = sandbox.first_line()
        server = Server(ready)
        producer = Producer(server, folder.requests, folder.root)
        runs = producer.begin([script.earlier()])
        producer.play(runs, threading.Event())
        folder.scanner.mkdir()
        folder.sequencer.mkdir()
        folder.config.write_text(_config(folder, ready))
        with running("the daemon", folder.log, *watch) as daemon:
            later = producer.begin(script.later())
            runs += later
            with _writing(producer, later) as writing:
                _watch(folder, runs, (sandbox, daemon), writing, show)
            status = daemon.stop()
        inventory = Inventory(server, runs)
        checks = (*inventory.checks(folder.requests, folder.receipts), _ended_well(status))
    took_s = round(time.monotonic() - start_s, 1)
    return Outcome(inventory.figures(), checks, tuple(runs), took_s, ready["host"])


@contextmanager
def _writing(producer: Producer, runs: Sequence[Run]) -> Iterator[Future[None]]:
    """Have *runs* written beside us while the block lasts."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(producer.play, runs, stop)
        finally:
            stop.set()


def _watch(
    folder: Folder,
    runs: Sequence[Run],
    children: Sequence[Child],
    writing: Future[None],
    show: Show,
) -> None:
    """Show how far everything is until all is in."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        if done := writing.done():
            writing.result()  # raises what went wrong there
        views = look(folder.journal_url, runs)
        show(views)
        pending = [view for view in views if view.state != ExecutionState.UPLOADED]
        if done and not pending:
            return
        for child in children:
            child.check()
        refused = [view for view in pending if view.state == ExecutionState.REFUSED]
        if refused or time.monotonic() > deadline_s:
            raise _stuck(folder, refused or pending)
        time.sleep(_TICK_S)


def _stuck(folder: Folder, views: Sequence[RunView]) -> TroubleError:
    return TroubleError(
        "the demo broke off: not everything came in",
        "\n  ".join(f"{view.run.rid} is {view.state}: {view.why}" for view in views),
        f"The daemon's log is {folder.log}.",
    )


def _ended_well(status: int) -> Check:
    return Check("daemon", f"exit status {_STOPPED} at SIGTERM", f"exit status {status} at SIGTERM")


def _config(folder: Folder, ready: dict[str, str]) -> str:
    texts = {
        **ready,
        "prefix": str(folder.prefix),
        "scanner": str(folder.scanner),
        "sequencer": str(folder.sequencer),
        "workflow": script.WORKFLOW,
        "scans": script.scanner().title,
        "runs": script.sequencer().title,
        "journal_url": folder.journal_url,
    }
    quoted = {name: json.dumps(text) for name, text in texts.items()}
    return _CONFIG.format(**quoted, quiet_s=script.QUIET_S)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a signal unwind the block, so that no process is left behind."""

    def leave(number: int, _frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)  # it is heard
        raise SystemExit(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
