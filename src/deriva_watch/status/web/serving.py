"""The status page in the daemon: one thread, whose failures never stop the uploads."""

import asyncio
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Event, StatusPageStarted, TaskCrashed
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import beat, begin, waiting
from deriva_watch.settings.sections import Status
from deriva_watch.status.web.guard import Guard
from deriva_watch.status.web.listening import listening
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.routes import Web

ABOUT: Final = "the status page"
AGAIN_S: Final = 10.0  # until an address that is in use is tried again
STOP_S: Final = 2.0
LIFE_S: Final = 60.0  # between two signs of life of its thread
_LET_GO_S: Final = 1  # for responses that are being sent at the end
_SILENT_S: Final = 10.0  # after which a connection without a request is closed
_CONNECTIONS: Final = 64


@contextmanager
def serving(
    settings: Status,
    journal: Journal,
    meter: Meter,
    emit: Callable[[Event], None],
    problems: Problems,
) -> Iterator[None]:
    """Serve the status page while the block runs.

    Args:
        settings: Address and host names.
        journal: The journal that it shows.
        meter: The metrics for Prometheus.
        emit: Takes events.
        problems: Where it is reported that the page cannot be served.
    """
    if not settings.listen:
        yield
        return
    page = _Page(settings, journal, meter, emit, problems)
    thread = threading.Thread(target=page.run, name="status page", daemon=True)
    thread.start()
    try:
        yield
    finally:
        page.stop()
        thread.join(STOP_S)


class _Page:
    def __init__(
        self,
        settings: Status,
        journal: Journal,
        meter: Meter,
        emit: Callable[[Event], None],
        problems: Problems,
    ) -> None:
        self._at, self._emit, self._problems = settings.listen, emit, problems
        self._web = Web(journal, meter)
        hosts = {*settings.hosts, self._at.rpartition(":")[0]}
        self._guarded = Guard(self._web.application(), hosts, emit)
        self._stop = threading.Event()
        self._server: _Server | None = None

    def run(self) -> None:
        """Serve until `stop`; report failures and try again."""
        begin()
        while not self._stop.is_set():
            try:
                with listening(self._at) as (listener, url):
                    self._serve(listener, url)
            except TroubleError as error:
                self._problems.report(ABOUT, error)
            except Exception as error:  # noqa: BLE001  # a bug here must not end the thread
                why, lines = repr(error), traceback.format_exc()
                self._emit(TaskCrashed(where=ABOUT, why=why, traceback=lines))
            with waiting(AGAIN_S):
                self._stop.wait(AGAIN_S)

    def stop(self) -> None:
        """End it; called from another thread."""
        self._stop.set()
        if self._server:
            self._server.end()

    def _serve(self, listener: socket.socket, url: str) -> None:
        def ready() -> None:
            self._problems.report(ABOUT, None)
            self._emit(StatusPageStarted(url=url))

        self._server = _Server(_config(self._guarded), ready, self._web)
        if not self._stop.is_set():
            self._server.run(sockets=[listener])
            self._web.keep_last()


class _Server(uvicorn.Server):
    """A server that is idle between requests and closes event streams when it ends."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], web: Web) -> None:
        super().__init__(config)
        self._ready, self._web = ready, web
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop wakes up ten times a second."""
        self._loop = asyncio.get_running_loop()
        self._ready()
        samples = asyncio.create_task(self._web.keep_samples())
        if not self._ending.is_set():
            await self._live()
        samples.cancel()
        self._web.stream.end()

    async def _live(self) -> None:
        """Give signs of life until the end."""
        while not self._over.is_set():
            beat()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), LIFE_S)

    def end(self) -> None:
        """End it; called from another thread."""
        self._ending.set()
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)


class _Connection(H11Protocol):
    """A client's connection, which is closed if no request comes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self.loop.call_later(_SILENT_S, self._end_silent)

    def _end_silent(self) -> None:
        if self.cycle is None:
            self.transport.close()


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # logs errors of clients; the guard reports ours
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_LET_GO_S,
    )
