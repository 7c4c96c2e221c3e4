"""Programs of ours, started by a process that has imported all: that is most of a start."""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from contextlib import suppress

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "alembic.command",
        "deriva.core",
        "deriva_watch.cli",
        "deriva_watch.daemon.process",
        "deriva_watch.library.null_sentinel",
        "deriva_watch.sandbox.server",
        "uvicorn.lifespan.off",
        "uvicorn.loops.auto",
        "typer.rich_utils",
    ]
)


class Program:
    """`python -m MODULE ARGUMENTS`, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, module, arguments, environment, stdout, stderr):
        order = module, [*map(str, arguments)], dict(environment), str(stdout), str(stderr)
        self._process = _FORKS.Process(target=_live, args=order, daemon=True)
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """Return its exit status, or the negative number of a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s=None):
        """Wait for its end and return the same; TimeoutExpired if it takes longer."""
        self._process.join(timeout_s)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout_s)
        return self.poll()

    def send_signal(self, number):
        """Send it a signal, if it is there."""
        with suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self):
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """End it."""
        self.send_signal(signal.SIGKILL)


def _live(module, arguments, environment, stdout, stderr):
    """Be the program."""
    for number, path in ((1, stdout), (2, stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
