"""The three services as one ASGI application."""

from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deriva_watch.sandbox.ermrest import api as ermrest
from deriva_watch.sandbox.ermrest.catalog import Catalog
from deriva_watch.sandbox.hatrac import api as hatrac
from deriva_watch.sandbox.hatrac.directory import Directory
from deriva_watch.sandbox.hatrac.exchange import Store
from deriva_watch.sandbox.hatrac.storage import Storage
from deriva_watch.sandbox.identity import Sessions
from deriva_watch.sandbox.refusal import RefusedError

ASSET_TAG: Final = "tag:isrd.isi.edu,2017:asset"
CLIENT_GONE: Final = 499  # only for the log


def build_app(catalog: Catalog, data: Path, sessions: Sessions) -> Starlette:
    """Return the application.

    Args:
        catalog: The catalog it serves.

        data: The folder of names and contents of the object store.

        sessions: The sessions that may log in.
    """

    async def session(request: Request) -> Response:
        found = sessions.find(request.headers)
        if found is None:
            raise RefusedError(404, "No existing login session found.")
        if request.method == "DELETE":
            sessions.end(request.headers)
            return _json({"logout_url": "/"})
        if request.method == "PUT":
            sessions.extend(found)
        return _json(found.describe(datetime.now(UTC)))

    methods = ["GET", "HEAD", "PUT", "DELETE"]
    directory = Directory(data / "hatrac.db", _asset_tables(catalog))
    store = Store(directory, Storage(data / "objects"))
    app = Starlette(
        routes=[
            Route("/authn/session", session, methods=methods),
            Route("/authn/session/", session, methods=methods),
            *hatrac.routes(store),  # before the many of ERMrest: routes are tried in order
            *ermrest.routes(catalog),
        ],
        exception_handlers={RefusedError: _refuse, ClientDisconnect: _give_up},
    )
    app.router.redirect_slashes = False
    return app


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    refusal = cast("RefusedError", error)
    if refusal.status == HTTPStatus.NOT_MODIFIED:
        return Response(status_code=304, headers=refusal.headers)
    return PlainTextResponse(
        f"{refusal.text}\n".encode(errors="backslashreplace"), refusal.status, refusal.headers
    )


async def _give_up(_: Request, __: Exception) -> Response:
    """Send nothing: the client has left before its body was complete."""
    return Response(status_code=CLIENT_GONE)


def _asset_tables(catalog: Catalog) -> set[str]:
    """Return the names of the tables whose files clients store below ``/hatrac/<table>``."""
    return {
        table["table_name"]
        for schema in catalog.document["schemas"].values()
        for table in schema["tables"].values()
        for column in table["column_definitions"]
        if ASSET_TAG in column.get("annotations", {})
    }
