"""The routes: the page, the views of the command line as JSON, health and metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib.resources import files
from shlex import quote
from typing import Any, Final

import orjson
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from deriva_watch.core.errors import RefusedError, TransientError, TroubleError
from deriva_watch.edges.journal import Journal
from deriva_watch.status.day import Day
from deriva_watch.status.views import details, finding, summary
from deriva_watch.status.web.gauges import Gauges, look_at
from deriva_watch.status.web.guard import error_response
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.queries import WITHIN_S, Queries
from deriva_watch.status.web.stream import Stream

SHOW_S: Final = 30.0  # details of an execution with many files take long
SHOWN_FILES: Final = 20_000  # 10 MB of JSON, and five times as much memory to make it
LONGEST_NAME_BYTES: Final = 4096  # PATH_MAX of Linux
FRESH_S: Final = 0.9  # an overview is reused for so long

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FILES: Final = files("deriva_watch.status")
_INDEX: Final = "index.html"


class _Json(Response):
    """A JSON response."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return orjson.dumps(content)


class Web:
    """Answers requests. All calls must come from one event loop."""

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal = journal
        self._meter = meter
        self._gauges = Gauges(meter.remaining_s)
        meter.registry.register(self._gauges)
        self._day = Day(journal, lambda: meter.sent_bytes)
        self._queries = Queries(8, WITHIN_S)
        self._detail_queries = Queries(2, SHOW_S)  # separate: they must not delay /healthz
        self._overview: dict[str, Any] = {}
        self._made_s = 0.0
        self.stream = Stream(self.overview)

    def application(self) -> Starlette:
        """Return the routes."""
        routes = [
            *_pages(),
            Route("/api/overview", _explained(self._get_overview)),
            Route("/api/execution", _explained(self._get_execution)),
            Route("/api/find", _explained(self._get_find)),
            Route("/api/day", _explained(self._get_day)),
            Route("/stream", self._get_stream),
            Route("/metrics", self._get_metrics),
            Route("/alerts.yml", _fixed((_FILES / "alerts.yml").read_bytes(), "text/plain")),
            Route("/healthz", self._get_health),
        ]
        return Starlette(routes=routes, exception_handlers={404: _nothing_there, 500: _bug})

    async def overview(self) -> dict[str, Any]:
        """Return a summary; TroubleError if the journal cannot be read in time."""
        if time.monotonic() > self._made_s + FRESH_S:
            self._overview = await self._queries.ask(
                "overview", lambda: summary(self._journal, datetime.now(UTC))
            )
            self._made_s = time.monotonic()
        return self._overview

    async def keep_samples(self) -> None:
        """Write a sample for the chart at the end of each step."""
        while True:
            await asyncio.sleep(self._day.left_s())
            with suppress(TroubleError):  # the daemon itself reports errors of its journal
                await self._queries.ask("sample", self._day.keep)

    def keep_last(self) -> None:
        """Write the sample of the step in progress, because the daemon ends."""
        with suppress(TroubleError):
            self._day.keep()

    async def _get_overview(self, _request: Request) -> Response:
        return _Json(await self.overview())

    async def _get_execution(self, request: Request) -> Response:
        rid = request.query_params.get("rid")
        if not rid:
            return error_response(
                400, "cannot show it", "no rid is given", "Use /api/execution?rid=RID."
            )
        asked = self._detail_queries.ask(rid, lambda: _shown(self._journal, rid))
        return Response(await asked, media_type="application/json")

    async def _get_find(self, request: Request) -> Response:
        name = request.query_params.get("name")
        if not name:
            return error_response(
                400, "cannot find it", "no name is given", "Use /api/find?name=NAME."
            )
        if len(name.encode()) > LONGEST_NAME_BYTES:
            return error_response(
                400,
                "cannot find it",
                f"the name has more than {LONGEST_NAME_BYTES:,} bytes, and no path has so many",
                "Give a shorter part of the name.",
            )
        asked = self._detail_queries.ask(("find", name), lambda: finding(self._journal, name))
        return _Json(await asked)

    async def _get_stream(self, request: Request) -> Response:
        if self.stream.is_full:
            return error_response(
                503, "cannot stream", "too many pages are open", "Close another page."
            )
        events = self.stream.events() if request.method == "GET" else ()
        return StreamingResponse(events, media_type="text/event-stream")

    async def _get_health(self, _request: Request) -> Response:
        try:
            seen = await self.overview()
            reasons, problems = seen["reasons"], seen["problems"]
        except TroubleError as error:
            reasons = problems = [{"about": "the journal", **error.sentence()}]
        said = {"healthy": not reasons, "reasons": reasons, "problems": problems}
        return _Json(said, 503 if reasons else 200)

    async def _get_day(self, _request: Request) -> Response:
        return _Json(await self._queries.ask("day", self._day.view))

    async def _get_metrics(self, request: Request) -> Response:
        try:
            place = await self._queries.ask("place", lambda: look_at(self._journal))
            self._gauges.found = await self.overview(), place
        except (TroubleError, OSError):
            self._gauges.found = None
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._meter.registry), headers={"Content-Type": kind})


def _shown(journal: Journal, rid: str) -> bytes:
    """Return the details as JSON; RefusedError if they are too long for a browser."""
    amounts = journal.amounts(execution.id for execution in journal.executions(rid=rid))
    files = sum(amount.files for states in amounts.values() for amount in states.values())
    if files > SHOWN_FILES:
        raise RefusedError(
            f"cannot show {rid} here",
            f"it has {files:,} files, and a page can show {SHOWN_FILES:,}",
            f"`deriva-watch show {quote(rid)}` shows all.",
        )
    return orjson.dumps(details(journal, rid))


def _pages() -> list[Route]:
    """Return a route for each file of the page; no other file is ever served."""
    routes = []
    for file in (_FILES / "page").iterdir():
        if kind := _TYPES.get(file.name[file.name.rfind(".") :]):
            path = "/" if file.name == _INDEX else f"/{file.name}"
            routes.append(Route(path, _fixed(file.read_bytes(), kind)))
    return routes


def _fixed(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _explained(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    async def explained(request: Request) -> Response:
        try:
            return await answer(request)
        except TransientError as error:
            return error_response(503, error.what, error.why, error.next)
        except RefusedError as error:
            return error_response(403, error.what, error.why, error.next)
        except TroubleError as error:
            return error_response(404, error.what, error.why, error.next)

    return explained


async def _nothing_there(request: Request, _error: Exception) -> Response:
    path = request.url.path
    return error_response(404, f"cannot show {path}", "there is no such page", "The page is at /.")


async def _bug(_request: Request, _error: Exception) -> Response:
    return error_response(
        500, "cannot answer", "this is a bug", "See the event daemon.crashed in the log."
    )
