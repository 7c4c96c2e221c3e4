"""The status page as a part of the daemon: one thread that serves, and never stops the uploads."""

import asyncio
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.events import Crashed, Event, StatusListening
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.status.guard import Guard
from deriva_watch.status.listening import listening
from deriva_watch.status.web import Web

ABOUT: Final = "the status page"
AGAIN_S: Final = 10.0  # how soon a place that is taken is tried again
STOP_S: Final = 2.0
_LET_GO_S: Final = 1  # for answers that are under way at the end
_SILENT_S: Final = 10.0  # who connects and asks nothing holds a place no longer
_CONNECTIONS: Final = 64

Hinder = Callable[[str, TroubleError | None], None]


@contextmanager
def serving(
    at: str,
    hosts: Collection[str],
    journal: Journal | Reader,
    emit: Callable[[Event], None],
    hinder: Hinder,
) -> Iterator[None]:
    """Serve the status page while the block runs.

    Args:
        at: Where, as in `[status] listen`; "": nowhere.
        hosts: Further names under which it may be asked for.
        journal: What it shows.
        emit: Where events go.
        hinder: Is told why it cannot be served, and None once it is.
    """
    if not at:
        yield
        return
    page = _Page(at, hosts, journal, emit, hinder)
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
        at: str,
        hosts: Collection[str],
        journal: Journal | Reader,
        emit: Callable[[Event], None],
        hinder: Hinder,
    ) -> None:
        self._at, self._journal, self._emit, self._hinder = at, journal, emit, hinder
        self._hosts = {*hosts, at.rpartition(":")[0]}
        self._stop = threading.Event()
        self._server: _Server | None = None

    def run(self) -> None:
        """Serve until `stop`; what goes wrong is said, and tried again."""
        while not self._stop.is_set():
            try:
                with listening(self._at) as (listener, url):
                    self._serve(listener, url)
            except TroubleError as error:
                self._hinder(ABOUT, error)
            except Exception as error:  # noqa: BLE001  # a bug here must not end the thread
                why, lines = repr(error), traceback.format_exc()
                self._emit(Crashed(where=ABOUT, why=why, traceback=lines))
            self._stop.wait(AGAIN_S)

    def stop(self) -> None:
        """End it from another thread."""
        self._stop.set()
        if self._server:
            self._server.end()

    def _serve(self, listener: socket.socket, url: str) -> None:
        web = Web(self._journal)
        guarded = Guard(web.application(), self._hosts, self._emit)

        def ready() -> None:
            self._hinder(ABOUT, None)
            self._emit(StatusListening(url=url))

        self._server = _Server(_config(guarded), ready, web.stream.end)
        if not self._stop.is_set():
            self._server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that does nothing while nobody asks, and lets streams go when it ends."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], let_go: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._let_go = ready, let_go
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop would wake up ten times a second."""
        self._loop = asyncio.get_running_loop()
        self._ready()
        if not self._ending.is_set():
            await self._over.wait()
        self._let_go()

    def end(self) -> None:
        """End it from another thread."""
        self._ending.set()
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)


class _Connection(H11Protocol):
    """One client's connection, which ends if nothing is asked."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it."""
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
        log_level=logging.CRITICAL,  # it tells what clients do wrong; what we do wrong the guard
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_LET_GO_S,
    )
