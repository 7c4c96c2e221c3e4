"""Who may ask, and what every answer says about itself.

The page shows names of files that anybody may have chosen, and listens where every web page that
is open on this machine can send requests to. So nothing is changed by a request, a request must be
meant for us, and a browser is told to load nothing from elsewhere.
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
    """Stands before the application."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], emit: Callable[[Event], None]) -> None:
        """Let requests for *hosts* and for this machine's own names pass.

        Whatever port they name: the end of a tunnel has a port of its own, and a foreign page
        cannot give itself one of these names.
        """
        self._app = app
        self._hosts = _LOCAL | {host.lower() for host in hosts}
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request or pass it on."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await (self._refusal(scope) or self._app)(scope, receive, send_guarded)
        except Exception as error:  # noqa: BLE001  # it was answered; here it is told
            where = f"the answer to {scope['path']}"
            self._emit(TaskCrashed(where=where, why=repr(error), traceback=traceback.format_exc()))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in _METHODS:
            why = "this server changes nothing"
            answer = said(405, f"cannot {scope['method']}", why, "Use the command line.")
            answer.headers["Allow"] = ", ".join(_METHODS)
            return answer
        asked = Headers(scope=scope).getlist("host")
        found = _HOST.fullmatch(asked[0].lower()) if len(asked) == 1 else None
        if found is None or found[1] not in self._hosts:
            return said(
                421,
                "cannot answer a request for another host",
                "the Host header names none of ours: a foreign web page could have sent it",
                "Ask for 127.0.0.1, or put the name of your proxy into [status] hosts.",
            )
        return None


def said(status: int, what: str, why: str, next: str) -> JSONResponse:  # noqa: A002  # as in errors
    """Return an answer that says what is wrong."""
    return JSONResponse({"what": what, "why": why, "next": next}, status)
