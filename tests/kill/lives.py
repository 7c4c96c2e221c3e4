"""The daemons of one test: how each lives, and how it ends."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from running import wait_until

STARTER = Path(__file__).with_name("starter.py")


class Starter:
    """Starts daemons from a process that has imported all, one after the other."""

    def __init__(self, process):
        self._process = process

    def live(self, scene, moment, until="execution.uploaded", rest_s=0.0):
        """Let a daemon live until it kills itself at *moment*; return its calls and whether it did.

        One that never comes there is ended *rest_s* after the event *until*.
        """
        diary, log = scene.config.with_name("diary"), scene.config.with_suffix(".log")
        diary.write_bytes(b"")
        log.touch()
        told = log.stat().st_size
        order = {"diary": diary, "moment": moment, "log": log}
        pid = self._ask(**order, arguments=["run", "--config", scene.config])

        def over():
            said = log.read_bytes()[told:]
            return self._has_answered() or f'"event":"{until}"'.encode() in said

        try:
            wait_until(over, 60, "neither a kill nor the end")
            time.sleep(rest_s)
        finally:
            is_killed = self._has_answered()
            if not is_killed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            status = int(self._process.stdout.readline())
        assert status == -signal.SIGKILL, log.read_text()[-2000:]
        return diary.read_text().splitlines(), is_killed

    def _ask(self, **order):
        self._process.stdin.write(json.dumps(order, default=str).encode() + b"\n")
        return int(self._process.stdout.readline())

    def _has_answered(self):
        return bool(select.select([self._process.stdout], [], [], 0)[0])


@contextmanager
def starter():
    """Yield one."""
    with subprocess.Popen(
        [sys.executable, STARTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,  # or what was said would hide from select
        env=os.environ,
    ) as process:
        yield Starter(process)
        process.stdin.close()
