"""The daemon as a process: log, signals, server, journal, and the service until it is stopped."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Final

from deriva_watch.core.events import DaemonStarted, DaemonStopped, Emit
from deriva_watch.daemon import front
from deriva_watch.daemon.build import build_service
from deriva_watch.daemon.reload import Reload, hold_signals, listen
from deriva_watch.edges.disk.scanning.prefixes import named_part
from deriva_watch.edges.host import log, systemd
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.build import assemble
from deriva_watch.pipeline.connection import connect, credential_source
from deriva_watch.pipeline.crash_report import report_thread_crash
from deriva_watch.pipeline.session import LoginSession
from deriva_watch.settings.model import Settings
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.serving import serving

_START_S: Final = 180.0  # as in the systemd units
_SLOWEST_BYTES_PER_S: Final = 5e6  # of a disk, while a journal is checked
LATEST_S: Final = 9.0  # the longest that a stop takes, whatever hangs


def serve(settings: Settings, load: Callable[[], Settings]) -> int:
    """Run the daemon and return the number of the signal that ended it.

    On a reload, if the settings that *load* returns can be used, the process restarts instead.

    Raises JournalDamagedError if the journal turns out to be damaged: the next start sets it aside.
    """
    if front.is_needed(named_part(each) for each in _folders(settings)):
        front.stand(LATEST_S)
    source = credential_source(settings)
    with connect(settings, source, required=False) as connection:
        session = LoginSession(source, connection.server, connection.missing)
        meter = Meter(lambda: session.remaining_s)
        emit = meter.tee(log.configure(settings.log.level, settings.log.format, source.secrets))
        threading.excepthook = partial(report_thread_crash, emit)
        reload = Reload(lambda: _try_out(load(), settings, emit))
        shutdown = _Shutdown(reload)
        threading.Thread(target=shutdown.at_the_latest, args=(emit,), daemon=True).start()
        stop = shutdown.stop
        systemd.notify_slow_start(_start_s(settings))
        with assemble(settings, connection, emit, stop, meter.moved, renew=session.renew) as parts:
            meter.know(parts.journal.pending())
            emit(_started(settings))
            if connection.missing:
                parts.breaker.trip(connection.missing)
            problems = Problems(settings.state_directory, emit)
            service = build_service(parts, session, problems, reload, stop)
            with serving(settings.status, parts.journal, meter, emit, problems):
                service.run()
    shutdown.report(emit)
    shutdown.restart_if_due()
    return shutdown.number


def _start_s(settings: Settings) -> float:
    """Return the longest that a start may take: after a kill the whole journal is read."""
    size_bytes = 0
    with suppress(OSError):  # a journal that cannot be read is reported by whoever opens it
        size_bytes = Path(settings.journal.url.removeprefix("sqlite:///")).stat().st_size
    return _START_S + size_bytes / _SLOWEST_BYTES_PER_S


def _started(settings: Settings) -> DaemonStarted:
    return DaemonStarted(
        version=version("deriva-watch"),
        pid=os.getpid(),
        host=settings.server.host,
        catalog=settings.server.catalog,
        journal=settings.journal.url,
        roots=[str(path) for path in _folders(settings)],
    )


def _folders(settings: Settings) -> list[Path]:
    return [*(watch.prefix for watch in settings.watch), *settings.drops]


def _try_out(settings: Settings, before: Settings, emit: Emit) -> None:
    """Raise TroubleError if the daemon could not start with *settings*."""
    if settings.journal.url != before.journal.url:
        with Journal.open(settings.journal.url, emit=emit):
            pass


class _Shutdown:
    """Handles SIGTERM and SIGINT, the first of which starts the stop, and SIGHUP: *reload*."""

    def __init__(self, reload: Reload) -> None:
        self._reload = reload
        self.stop, self._unreported = threading.Event(), threading.Lock()
        self.number, self.at_s = int(signal.SIGTERM), time.monotonic()
        self.is_asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)
        listen(reload.asked)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if not self.is_asked:
            self.number, self.at_s, self.is_asked = number, time.monotonic(), True
            self.stop.set()

    def report(self, emit: Emit) -> None:
        """Report the shutdown, once."""
        if self._unreported.acquire(blocking=False):
            took_s = round(time.monotonic() - self.at_s, 3)
            number = signal.SIGHUP if self._is_restart else signal.Signals(self.number)
            emit(DaemonStopped(signal=number.name, seconds=took_s))

    @property
    def _is_restart(self) -> bool:
        return self._reload.is_due and not self.is_asked

    def restart_if_due(self) -> None:
        """Restart after a reload, unless somebody asked for a stop meanwhile."""
        if self._is_restart:
            hold_signals()
            if self._is_restart:
                front.restart()

    def at_the_latest(self, emit: Emit) -> None:
        """Exit if a thread waits for the network too long: a kill loses nothing."""
        self.stop.wait()
        if not self.is_asked:
            self.at_s = time.monotonic()
        time.sleep(LATEST_S)
        self.report(emit)
        self.restart_if_due()
        front.end(128 + self.number if self.is_asked else 1)
