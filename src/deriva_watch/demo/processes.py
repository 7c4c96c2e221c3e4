"""The server and the daemon as processes of their own, which end with the demo."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deriva_watch.core.errors import TroubleError

_STOP_S: Final = 20.0
_LAST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours, and where it says on standard error what happens."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def first_line(self) -> dict[str, str]:
        """Return the JSON that it prints when it is ready."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            self.process.wait()
            self.check()
        ready: dict[str, str] = json.loads(line)
        return ready

    def check(self) -> None:
        """Raise TroubleError, with the end of the log, if it ended by itself."""
        if self.process.poll() is None:
            return
        last = self.log.read_text(errors="backslashreplace").splitlines()[-_LAST_LINES:]
        raise TroubleError(
            f"the demo broke off: {self.name} ended with status {self.process.returncode}",
            "\n  ".join(last) or "it said nothing",
            f"Its whole log is {self.log}.",
        )

    def stop(self) -> int:
        """End it by SIGTERM and return its exit status as a shell would show it."""
        self.process.terminate()
        try:
            status = self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return status if status >= 0 else 128 - status


@contextmanager
def running(name: str, log: Path, *words: str) -> Iterator[Child]:
    """Run `deriva-watch` with *words* until the block ends.

    It has a session of its own, so that Ctrl-C reaches it through us alone, and none of the
    settings that may stand in our environment.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DERIVA_WATCH_")}
    command = [sys.executable, "-m", "deriva_watch", *words]
    with (
        log.open("ab") as stream,
        subprocess.Popen(  # noqa: S603  # ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        child = Child(name, process, log)
        try:
            yield child
        finally:
            child.stop()
