"""Hatrac's URLs and their handlers."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deriva_watch.sandbox.hatrac import acls, fields, jobs, objects
from deriva_watch.sandbox.hatrac.exchange import Call, Store
from deriva_watch.sandbox.hatrac.names import PREFIX, Address, parse_address
from deriva_watch.sandbox.refusal import RefusedError

Answer = Callable[[Store, Call], Response]
Streaming = Callable[[Store, Call], Awaitable[Response]]

# By sub-resource and the number of steps below it. Bodies of any size are streamed.
STREAMING: Final[dict[tuple[str, int], dict[str, Streaming]]] = {
    ("name", 0): {"PUT": objects.put},
    ("upload", 2): {"PUT": jobs.put_chunk},
}
ANSWERS: Final[dict[tuple[str, int], dict[str, Answer]]] = {
    ("name", 0): {"GET": objects.get, "DELETE": objects.delete},
    ("version", 0): {"GET": objects.get, "DELETE": objects.delete},
    ("versions", 0): {"GET": objects.versions},
    ("metadata", 0): {"GET": fields.get},
    ("metadata", 1): {"GET": fields.get, "PUT": fields.put, "DELETE": fields.delete},
    ("upload", 0): {"GET": jobs.list_open, "POST": jobs.create},
    ("upload", 1): {"GET": jobs.status, "POST": jobs.finalize, "DELETE": jobs.cancel},
    ("acl", 0): {"GET": acls.get},
    ("acl", 1): {"GET": acls.get, "PUT": acls.put, "DELETE": acls.delete},
    ("acl", 2): {"GET": acls.get, "PUT": acls.put, "DELETE": acls.delete},
}


def routes(store: Store) -> list[Route]:
    """Return the routes of the service."""

    async def endpoint(request: Request) -> Response:
        address = parse_address(request.scope["path"].removeprefix(PREFIX))
        call = Call(request, address, request.state.client, request.state.arrived_ns)
        key = (_kind(address), len(address.rest))
        method = "GET" if request.method == "HEAD" else request.method
        streaming = STREAMING.get(key, {}).get(method)
        if streaming:
            return await streaming(store, call)
        answer = ANSWERS.get(key, {}).get(method)
        if answer is None:
            known = key in ANSWERS or key in STREAMING
            raise RefusedError(405 if known else 404, f"{request.method} is not possible here.")
        body = await request.body() if method in {"PUT", "POST"} else b""
        call = Call(request, address, call.client, call.arrived_ns, body)
        return await run_in_threadpool(answer, store, call)

    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    return [Route(path, endpoint, methods=methods) for path in (PREFIX, f"{PREFIX}{{path:path}}")]


def _kind(address: Address) -> str:
    return address.part or ("version" if address.version else "name")
