"""The daemon as a process: log, signals, server, journal, then the service until told to stop."""

import os
import signal
import threading
import time
import traceback
from functools import partial
from importlib.metadata import version
from types import FrameType
from typing import Final

from deriva_watch.ahead import Ahead
from deriva_watch.assembly import assemble, connect
from deriva_watch.core.events import Crashed, DaemonStarted, DaemonStopped
from deriva_watch.core.evidence import CompletionPolicy
from deriva_watch.edges import log
from deriva_watch.edges.credentials import CredentialSource
from deriva_watch.edges.hindrances import Hindrances
from deriva_watch.engine.ports import Emit
from deriva_watch.gate import Gate
from deriva_watch.login import Login
from deriva_watch.lookout import Lookout
from deriva_watch.orders import Orders
from deriva_watch.service import Service
from deriva_watch.settings import Settings
from deriva_watch.status.serving import serving

LATEST_S: Final = 9.0  # a stop takes no longer, whatever hangs


def serve(settings: Settings) -> int:
    """Run the daemon and return the number of the signal that ended it.

    Raises JournalDamagedError where the journal turns out to be damaged: it is set aside then.
    """
    source = CredentialSource(settings.server.host, settings.server.credential_file)
    emit = log.configure(settings.log.level, settings.log.format, source.secrets)
    threading.excepthook = partial(tell_thread, emit)
    ending = _Ending()
    threading.Thread(target=ending.at_the_latest, args=(emit,), daemon=True).start()
    with (
        connect(settings, source, required=False) as (server, missing),
        assemble(settings, server, emit, ending.stop) as pipeline,
    ):
        login = Login(source, server)
        gate = Gate(settings.server.host, emit, pipeline.probe, login.renew, settings.retry.max_s)
        emit(
            DaemonStarted(
                version=version("deriva-watch"),
                pid=os.getpid(),
                host=settings.server.host,
                catalog=settings.server.catalog,
                journal=settings.journal.url,
                roots=[
                    str(p) for p in (*(watch.prefix for watch in settings.watch), *settings.drops)
                ],
            )
        )
        if missing:
            gate.close(missing)
        ahead = Ahead(pipeline.journal, emit) if settings.transfer.hash_ahead else None
        lookout = Lookout(pipeline, _policy(settings), gate.check, ahead)
        hindrances = Hindrances(settings.state_directory)
        orders = Orders.of(settings)
        service = Service(pipeline, lookout, gate, login, orders, ending.stop, hindrances)
        page = settings.status
        with serving(page.listen, page.hosts, pipeline.journal, emit, service.hinder):
            service.run()
    ending.tell(emit)
    return ending.number


class _Ending:
    """Waits for SIGTERM or SIGINT; the first one begins the stop."""

    def __init__(self) -> None:
        self.stop, self._untold = threading.Event(), threading.Lock()
        self.number, self.at_s = int(signal.SIGTERM), time.monotonic()
        self.is_asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if not self.stop.is_set():
            self.number, self.at_s, self.is_asked = number, time.monotonic(), True
            self.stop.set()

    def tell(self, emit: Emit) -> None:
        """Report the end, once."""
        if self._untold.acquire(blocking=False):
            took_s = round(time.monotonic() - self.at_s, 3)
            emit(DaemonStopped(signal=signal.Signals(self.number).name, seconds=took_s))

    def at_the_latest(self, emit: Emit) -> None:
        """End the process if something waits for the network too long: a kill loses nothing."""
        self.stop.wait()
        time.sleep(LATEST_S)
        self.tell(emit)
        os._exit(128 + self.number if self.is_asked else 1)


def tell_thread(emit: Emit, args: threading.ExceptHookArgs) -> None:
    """Report the end of a thread that is not ours, such as one of watchdog's."""
    lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
    name = args.thread.name if args.thread else "a thread"
    emit(Crashed(where=name, why=repr(args.exc_value), traceback="".join(lines)))


def _policy(settings: Settings) -> CompletionPolicy:
    return CompletionPolicy(**settings.completion.model_dump())
