"""Settings that are read anew while the daemon works, because a person asks for it (SIGHUP).

They are read and tried first: what cannot be used changes nothing. Then everything is put down as
for a stop, and the program begins anew in the same process. So there is no setting that a reload
cannot change, and no second way to change one; the journal knows where the work goes on.
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
    """What a person asked for, and whether it can be done.

    Attributes:
        load: Reads the settings and tries them; raises TroubleError where they cannot be used.
        asked: Somebody asked.
        is_due: The settings can be used: the process shall begin anew.
    """

    load: Callable[[], object]
    asked: threading.Event = field(default_factory=threading.Event)
    is_due: bool = False

    def take(self, emit: Emit) -> TroubleError | None:
        """Do what was asked for as far as it goes; return what is wrong with the settings."""
        self.asked.clear()
        try:
            self.load()
        except TroubleError as error:
            emit(SettingsRefused(**error.sentence()))
            then = "Then reload again; until then those of before hold."
            return replace(error, next=f"{error.next} {then}")
        self.is_due = True
        return None


def listen(asked: threading.Event) -> None:
    """Have SIGHUP ask for the settings to be read anew, and take signals that have waited.

    A terminal that is closed sends it too: there it ends the process, as it ends any other. And
    under nohup it does nothing.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and not any(map(os.isatty, range(3))):
        signal.signal(signal.SIGHUP, lambda _number, _frame: asked.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hold_signals() -> None:
    """Let signals wait until the next program in this process can take them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def begin_anew() -> NoReturn:
    """Be the same program again, in the same process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # ourselves
