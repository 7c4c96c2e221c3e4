"""Reloads the settings while the daemon runs, because a person asks for it (SIGHUP).

The new settings are read and tried first: if they cannot be used, nothing changes. Otherwise all
work stops as for a stop of the daemon, and the program restarts in the same process. So a reload
can change every setting, and the work goes on from the journal.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Emit, SettingsRefused

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(slots=True)
class Reload:
    """Whether a person asked for a reload, and whether it can be done.

    Attributes:
        load: Reads the settings and tries them; raises TroubleError if they cannot be used.
        asked: Set by the signal.
        is_due: The settings can be used: the process is to restart.
    """

    load: Callable[[], object]
    asked: threading.Event = field(default_factory=threading.Event)
    is_due: bool = False

    def take(self, emit: Emit) -> TroubleError | None:
        """Try the settings; return what is wrong with them, or None and let the reload be due."""
        self.asked.clear()
        try:
            self.load()
        except TroubleError as error:
            emit(SettingsRefused(**error.sentence()))
            then = "Then reload again; until then the old settings stay in force."
            return replace(error, next=f"{error.next} {then}")
        self.is_due = True
        return None


def listen(asked: threading.Event) -> None:
    """Let SIGHUP set *asked*, and unblock the signals that a restart has blocked.

    A terminal that closes sends SIGHUP too. There it ends the process, as it ends any other; under
    nohup it does nothing.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and not any(map(os.isatty, range(3))):
        signal.signal(signal.SIGHUP, lambda _number, _frame: asked.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hold_signals() -> None:
    """Block signals until the program that starts next in this process unblocks them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def restart_in_place() -> NoReturn:
    """Start the same program again in this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # ourselves
