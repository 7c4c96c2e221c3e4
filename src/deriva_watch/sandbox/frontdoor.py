"""The layer in front of the services: rules of the web server, log, latency, faults."""

import asyncio
import os
import re
import time
from collections.abc import Sequence
from typing import BinaryIO, Final, Protocol

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deriva_watch.sandbox.bandwidth import NarrowLine
from deriva_watch.sandbox.faults import Action, Rule, strike
from deriva_watch.sandbox.identity import Sessions

# Measured: Apache maps the path to a file name, whose length is limited.
LONGEST_PATH_BYTES: Final = 4000
LONGEST_TARGET_BYTES: Final = 8190
REQUESTS_A_CONNECTION: Final = 100
BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
CLOSING: Final = {
    400,
    408,
    411,
    413,
    414,
    500,
    501,
    503,
}  # after these Apache closes the connection
PAGE: Final = "<html><head>\n<title>{0}</title>\n</head><body>\n<h1>{0}</h1>\n</body></html>\n"
TITLES: Final = {
    400: "Bad Request",
    404: "Not Found",
    411: "Length Required",
    414: "Request-URI Too Long",
}


class Connection(Protocol):
    """The connection a request came by."""

    requests: int

    def reset(self) -> None:
        """Reset it."""

    def hang_up(self) -> None:
        """Close it, in the middle of an answer or not."""


class FrontDoor:
    """An ASGI application around the services.

    Args:
        app: The services.

        sessions: Identifies the sender of a request.

        log: Takes one JSON line for each request, before its answer ends.

        latency_s: How long every request waits, as if the server were far away.

        faults: Which requests fail.
    """

    def __init__(
        self,
        app: ASGIApp,
        sessions: Sessions,
        log: BinaryIO,
        latency_s: float = 0,
        faults: Sequence[Rule] = (),
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._log = log
        self._latency_s = latency_s
        self._faults = list(faults)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        arrived_ns = time.monotonic_ns()
        self._count += 1
        # The services read paths as they were sent: "%2F" is not a slash.
        scope["path"] = scope["raw_path"].decode("ascii")
        service = scope["path"].split("/")[1]
        client = self._sessions.client_of(Headers(scope=scope), service)
        connection: Connection = scope["state"]["connection"]
        connection.requests += 1
        scope["state"].update(client=client, arrived_ns=arrived_ns, begun_ns=arrived_ns)
        exchange = _Exchange(self._log, self._count, scope, receive, send)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        fault = strike(self._faults, scope["method"], exchange.target)
        if fault is None:
            await self._serve(scope, exchange.receive, exchange.send)
        else:
            exchange.fault = fault.action
            await self._fail(fault, scope, exchange)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = _refusal(scope) or self._app
        await app(scope, receive, send)

    async def _fail(self, fault: Rule, scope: Scope, exchange: "_Exchange") -> None:
        receive, send = exchange.receive, exchange.send
        match fault.action:
            case Action.STATUS:
                retry = fault.retry_after_s
                headers = {} if retry is None else {"Retry-After": str(retry)}
                answer = PlainTextResponse("A fault was asked for.\n", fault.status, headers)
                await answer(scope, receive, send)
            case Action.STALL:
                await _stall(fault)
                await self._serve(scope, receive, send)
            case Action.SLOW:
                line = NarrowLine(receive, send, fault.bytes_per_s)
                await self._serve(scope, line.receive, line.send)
            case Action.EXPIRE:
                self._expire(fault, scope)
                await self._serve(scope, receive, send)
            case _:
                await self._break(fault, scope, exchange)

    async def _break(self, fault: Rule, scope: Scope, exchange: "_Exchange") -> None:
        """Break the connection, before or after the request took effect."""
        connection: Connection = scope["state"]["connection"]
        if fault.action == Action.TRUNCATE:
            await self._serve(scope, exchange.receive, exchange.send_half)
            connection.hang_up()
        else:
            if fault.action == Action.RESET_AFTER:
                await self._serve(scope, exchange.receive, exchange.swallow)
            connection.reset()
        exchange.write_log()
        await asyncio.sleep(0)  # let the connection notice that it is gone

    def _expire(self, fault: Rule, scope: Scope) -> None:
        """End the sender's session; renew it later, or never."""
        client = self._sessions.end(Headers(scope=scope))
        scope["state"]["client"] = None
        if client is not None and fault.renew_after_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(fault.renew_after_s, self._sessions.renew, client)


async def _stall(fault: Rule) -> None:
    """Wait for the time of a fault, or until its file is removed."""
    if fault.while_there is None:
        await asyncio.sleep(fault.stall_s)
        return
    while os.path.exists(fault.while_there):  # noqa: ASYNC110, ASYNC240, PTH110  # a file is all it has
        await asyncio.sleep(0.01)


def _refusal(scope: Scope) -> ASGIApp | None:
    """Return the error page if the web server itself refuses the request, else None."""
    if len(_target(scope)) > LONGEST_TARGET_BYTES:
        status = 414
    elif BAD_ESCAPE.search(scope["path"]):
        status = 400
    elif len(scope["path"]) > LONGEST_PATH_BYTES or "%00" in scope["path"]:
        status = 404
    elif "transfer-encoding" in Headers(scope=scope):
        status = 411
    else:
        return None
    return HTMLResponse(PAGE.format(f"{status} {TITLES[status]}"), status)


def _target(scope: Scope) -> str:
    path: str = scope["path"]
    query: str = scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path


class _Exchange:
    """One request and its answer: counts and logs it, and closes the connection if needed."""

    def __init__(
        self, log: BinaryIO, number: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.target = _target(scope)
        self.fault: Action | None = None
        self._log = log
        self._number = number
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._received_bytes = 0
        self._is_received = False

    async def receive(self) -> Message:
        """Pass on a piece of the request's body."""
        message = await self._receive()
        self._received_bytes += len(message.get("body", b""))
        self._is_received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif not message.get("more_body", False):
            self.write_log()
        await self._send(message)

    async def _start(self, message: Message) -> None:
        self._status = message["status"]
        requests = self._scope["state"]["connection"].requests
        if self._status in CLOSING or requests >= REQUESTS_A_CONNECTION:
            MutableHeaders(raw=message["headers"])["Connection"] = "close"
            # Closing while the client is still sending would lose the answer.
            while not self._is_received:
                await self.receive()

    async def swallow(self, message: Message) -> None:
        """Drop a piece of the answer."""
        self._status = message.get("status", self._status)

    async def send_half(self, message: Message) -> None:
        """Pass on the head of the answer and half of each piece of its body."""
        if message["type"] == "http.response.start":
            await self._start(message)
            await self._send(message)
        else:
            body = message.get("body", b"")
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})

    def write_log(self) -> None:
        """Write the line of this request."""
        client = self._scope["state"]["client"]
        line = {
            "n": self._number,
            "method": self._scope["method"],
            "path": self.target,
            "status": self._status,
            "identity": client.id if client else None,
            "fault": self.fault,
            "received_bytes": self._received_bytes,
            "entries": self._scope["state"].get("entries", 0),
            "ms": round((time.monotonic_ns() - self._scope["state"]["arrived_ns"]) / 1e6, 3),
        }
        self._log.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
