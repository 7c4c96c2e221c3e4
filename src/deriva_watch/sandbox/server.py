"""Starting and stopping the server."""

import asyncio
import fcntl
import ipaddress
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from deriva_watch.sandbox import starter
from deriva_watch.sandbox.app import build_app
from deriva_watch.sandbox.costs import RealCosts
from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.ermrest.founding import found
from deriva_watch.sandbox.faults import read_faults
from deriva_watch.sandbox.frontdoor import FrontDoor
from deriva_watch.sandbox.identity import SESSION_LENGTH, Sessions

FAST: Final = "fast"
REAL: Final = "real"
PROFILES: Final = (FAST, REAL)
IDLE_S = 5  # measured: the server closes a connection after this long without a request
STOP_S = 5


class Connection(H11Protocol):
    """One client's connection: counts its requests, and can be broken."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self.requests = 0

    def reset(self) -> None:
        """Break the connection, so that the client sees ECONNRESET."""
        plain = self.transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def hang_up(self) -> None:
        """Send the current answer, then close."""
        self.transport.close()


class Server(uvicorn.Server):
    """A server that announces when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce it."""
        await super().startup(sockets)
        self._ready()


def serve(  # noqa: PLR0913 - all but two are choices with a default
    data: Path,
    listen: str = "127.0.0.1:0",
    *,
    schema: Path | None = None,
    rows: Path | None = None,
    latency_ms: float = 0,
    faults: Path | None = None,
    catalog: str = "1",
    session_s: float = SESSION_LENGTH.total_seconds(),
    profile: str = FAST,
    announce: Callable[[dict[str, str]], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        data: The folder that holds everything; made if it is not there.

        listen: ``address:port`` of the loopback interface; port 0 takes a free one.

        schema: A ``/schema`` document for a new folder; ours without one.

        rows: The first rows of a new folder, ``[{"table": .., "rows": [..]}]``.

        latency_ms: How long every request waits, in milliseconds.

        faults: A file of faults, see ``faults``.

        catalog: The catalog's number in a new folder.

        session_s: How long a session lasts after it was extended, in seconds.

        profile: ``fast``, as fast as it can; or ``real``, with the times of the real servers.

        announce: Called once the server takes requests, with ``url``, ``host``,
            ``catalog``, ``owner_credential_file``, ``writer_credential_file``, ``data``.

    Raises:
        ValueError: *listen* is not a loopback address, *profile* is unknown, or a file is
            invalid.
    """
    if profile not in PROFILES:
        raise ValueError(f"the profile is {' or '.join(PROFILES)}, not {profile!r}")
    address, port = _loopback(listen)
    rules = read_faults(faults) if faults else []
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    with (
        _locked(data),
        socket.create_server((address, port), backlog=2048) as listener,
        (data / "requests.jsonl").open("ab", buffering=0) as log,
    ):
        # Head and body of an answer are two writes; accepted sockets inherit this.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened = _open_catalog(data / "catalog.db", catalog, schema, rows)
        length = timedelta(seconds=session_s)
        sessions = Sessions(data, f"{address}:{listener.getsockname()[1]}", length)
        services: ASGIApp = build_app(opened, data, sessions)
        if profile == REAL:
            services = RealCosts(services)
        app = FrontDoor(services, sessions, log, latency_ms / 1000, rules)
        ready = {
            "url": f"http://{sessions.host}",
            "host": sessions.host,
            "catalog": opened.id,
            "owner_credential_file": str(sessions.files["owner"]),
            "writer_credential_file": str(sessions.files["writer"]),
            "data": str(data),
        }
        _run(Server(_config(app), lambda: announce(ready)), listener)


def _open_catalog(file: Path, number: str, schema: Path | None, rows: Path | None) -> Catalog:
    text = schema.read_text() if schema else starter.schema_text()
    first_rows = orjson.loads(rows.read_bytes()) if rows else [] if schema else starter.ROWS
    found(file, number, text, first_rows)
    return Catalog(file)


def _config(app: FrontDoor) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOP_S,
    )


def _run(server: Server, listener: socket.socket) -> None:
    """Run until a signal; ignore that uvicorn raises it again after it has stopped."""

    def ignore(_: int, __: FrameType | None) -> None:
        return

    before = {number: signal.signal(number, ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Lock the folder: two servers would damage each other's files."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another sandbox serves {data}") from None
        yield


def _loopback(listen: str) -> tuple[str, int]:
    address, _, port = listen.rpartition(":")
    address = "127.0.0.1" if address == "localhost" else address
    refusal = ValueError(
        f"the sandbox listens on the loopback interface only, not on {listen!r}; "
        "give an address such as 127.0.0.1:8080"
    )
    try:
        is_loopback = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        raise refusal from None
    if not (is_loopback and port.isdecimal()):
        raise refusal
    return address, int(port)
