"""The server and the daemon as processes of their own, which end with the demo."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deriva_watch.core.errors import TroubleError

Process = subprocess.Popen[str]

_STOP_S: Final = 20.0
_LAST_LINES: Final = 8


@contextmanager
def running(command: list[str], log: Path) -> Iterator[Process]:
    """Run `deriva-watch` with the words of *command* until the block ends.

    What it says on standard error goes to *log*. It has a session of its own, so that Ctrl-C
    reaches it through us alone; and none of the settings that may stand in our environment.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DERIVA_WATCH_")}
    with log.open("ab") as stream:
        process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "deriva_watch", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)
        if process.stdout:
            process.stdout.close()


def stop(process: Process) -> int:
    """End a process by SIGTERM and return its exit status as a shell would show it."""
    process.terminate()
    try:
        status = process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    return status if status >= 0 else 128 - status


def first_line(process: Process, log: Path) -> dict[str, str]:
    """Return the JSON that a process prints when it is ready."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise died("the server", process, log)
    ready: dict[str, str] = json.loads(line)
    return ready


def died(name: str, process: Process, log: Path) -> TroubleError:
    """Return what to say of a process that ended by itself."""
    last = log.read_text(errors="backslashreplace").splitlines()[-_LAST_LINES:]
    return TroubleError(
        f"the demo broke off: {name} ended with status {process.wait()}",
        "\n  ".join(last) or "it said nothing",
        f"Its whole log is {log}.",
    )
