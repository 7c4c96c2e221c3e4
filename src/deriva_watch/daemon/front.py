"""A process in front of the daemon, which ends in time even where the kernel lets the daemon not.

Once a FUSE server has read a request, the caller cannot even be killed until it is answered. A
daemon that waits for such a file system has closed its journal and does nothing any more, but
whoever waits for the end of its process would wait with it. So where FUSE is watched, the process
that was started only waits, and the daemon is its child.
"""

import ctypes
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from deriva_watch.daemon.reload import SIGNALS, hold_signals, restart_in_place
from deriva_watch.edges.watching import mounts

RESTART: Final = 0  # a status with which no daemon ends
_SLACK_S: Final = 0.8  # the daemon itself ends before
_PR_SET_PDEATHSIG: Final = 1
_status_pipe: int | None = None  # of the child: where it tells how it ends


def is_needed(folders: Iterable[Path]) -> bool:
    """Return whether one of *folders* is on FUSE, as far as names tell: asking could hang."""
    return any(kind.startswith("fuse") for each in folders for kind in mounts.kinds_by_name(each))


def stand(latest_s: float) -> None:
    """Continue in a child process; this one ends like the child, within *latest_s* of a signal.

    Call it while there is one thread.
    """
    reading, writing = os.pipe()
    front = os.getpid()
    child = os.fork()
    if child:
        os.close(writing)
        _wait(child, reading, latest_s + _SLACK_S)
    os.close(reading)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front:
        os._exit(1)  # it was killed before that
    if os.environ.get("WATCHDOG_PID") == str(front):
        os.environ["WATCHDOG_PID"] = str(os.getpid())
    global _status_pipe  # noqa: PLW0603  # like the process itself, there is one
    _status_pipe = writing


def end(status: int) -> None:
    """End this process now, and tell the one in front of it."""
    if _status_pipe is not None:
        os.write(_status_pipe, bytes([status]))
    os._exit(status)


def restart() -> None:
    """Restart the program: in this process, or in its parent if this is the child of `stand`."""
    if _status_pipe is not None:
        end(RESTART)
    restart_in_place()


def _wait(child: int, reading: int, latest_s: float) -> None:
    """Be the process in front, to its end."""
    asked: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGHUP and not asked:
            asked.append(number)
            signal.setitimer(signal.ITIMER_REAL, latest_s)
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in SIGNALS:
        signal.signal(number, forward)
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(128 + asked[0]))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # that a restart has blocked
    if told := os.read(reading, 1):
        if told[0] == RESTART:
            hold_signals()
            restart_in_place()
        os._exit(told[0])
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
