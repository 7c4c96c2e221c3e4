"""Which requests are allowed, and the security headers of every response.

The page shows file names that anybody may have chosen, and listens where every web page that is
open on this machine can send requests. So no request changes anything, its Host must be ours, and
browsers must not load anything from elsewhere.
"""

import re
import traceback
from collections.abc import Callable, Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deriva_watch.core.events import Event, TaskCrashed

_METHODS: Final = ("GET", "HEAD")
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware in front of the application."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], emit: Callable[[Event], None]) -> None:
        """Allow requests for *hosts* and for the local names of this machine.

        The port does not matter: a tunnel may use any, and a foreign page cannot have one of these
        names.
        """
        self._app = app
        self._hosts = _LOCAL | {host.lower() for host in hosts}
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it to the application."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001  # the client has an answer; here it is logged
            where = f"the answer to {scope['path']}"
            self._emit(TaskCrashed(where=where, why=repr(error), traceback=traceback.format_exc()))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in _METHODS:
            why = "this server is read-only"
            answer = error_response(405, f"cannot {scope['method']}", why, "Use the command line.")
            answer.headers["Allow"] = ", ".join(_METHODS)
            return answer
        asked = Headers(scope=scope).getlist("host")
        found = _HOST.fullmatch(asked[0].lower()) if len(asked) == 1 else None
        if found is None or found[1] not in self._hosts:
            return error_response(
                421,
                "cannot answer a request for another host",
                "its Host header is not one of ours: a foreign web page could have sent it",
                "Use 127.0.0.1, or add the name of your proxy to [status] hosts.",
            )
        return None


def error_response(status: int, what: str, why: str, next: str) -> JSONResponse:  # noqa: A002  # as in errors
    """Return an error response."""
    return JSONResponse({"what": what, "why": why, "next": next}, status)
