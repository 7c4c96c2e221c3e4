"""Programs of ours, started by a process that has imported all: that is most of a start."""

import ctypes
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
    """`python -m MODULE ARGUMENTS`, with the methods of `subprocess.Popen` that tests use.

    *outputs* are the files of its standard output and error. With *plain*, root may not read and
    write what its mode forbids, as an ordinary user may not.
    """

    def __init__(self, module, arguments, environment, *outputs, plain=False):
        words, outputs = [module, *map(str, arguments)], [*map(str, outputs)]
        order = words, dict(environment), outputs, plain
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


def _drop_capabilities():
    """Drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, from the bounding set too."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves
    libc.capget(header, sets)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
        for number in range(3):
            sets[number] &= ~(1 << capability)
    if libc.capset(header, sets):
        raise PermissionError("the capabilities of root stay")


def _live(words, environment, outputs, plain):
    """Be the program."""
    if plain:
        _drop_capabilities()
    for number, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
