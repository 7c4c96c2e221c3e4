"""The costs of requests on the real servers, for ``--profile real``.

The times were measured on ERMrest, Hatrac and webauthn on one machine with two cores. They are
charged on top of the sandbox's own work (about a millisecond), without any chance: the same
requests at the same moments cost the same.

A service has a speed: how much work it does in a second, with one request under way as 1. Hatrac
becomes faster up to four requests and slower beyond. All requests under way share that speed.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIB: Final = 1 << 20
NOTHING_S: Final = 1e-6
SLICE_S: Final = 0.02  # how soon a request notices that others have come or gone
CHARGED_BYTES: Final = MIB // 2  # of a body at once: timers are not finer than a millisecond
LISTED_S: Final = 0.0006  # Hatrac, for each child of a namespace
SCANNED_S: Final = 0.00000675  # ERMrest, for each row of a table that takes RIDs of clients
NEW_SCHEMA_S: Final = 0.084  # /schema where it is not 304
# Of a write's time, how much lies between two looks at what others have committed. With it two
# writers at once lose a quarter of their requests (503), and four the half, as measured.
CONTESTED: Final = 0.25

Speed = Sequence[tuple[int, float]]

HATRAC_SPEED: Final[Speed] = ((1, 1.0), (2, 1.094), (4, 1.163), (8, 0.936), (16, 0.764))
ERMREST_SPEED: Final[Speed] = ((1, 1.0), (2, 1.25), (4, 0.9))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs: a time, and more for each MiB of its body."""

    s: float
    mib_s: float = 0


COSTS: Final = (
    ("GET|HEAD", r"/hatrac[^;]*", Cost(0.0038)),
    ("PUT", r"/hatrac[^;]*", Cost(0.0089, 0.0069)),
    ("POST", r"/hatrac.*;upload", Cost(0.0175)),
    ("GET", r"/hatrac.*;upload/[^/]*", Cost(0.0058)),
    ("PUT", r"/hatrac.*;upload/[^/]*/.*", Cost(0.0089, 0.0069)),
    ("POST", r"/hatrac.*;upload/[^/]*", Cost(0.010)),
    (".*", r"/hatrac.*", Cost(0.008)),
    ("GET", r"/ermrest/.*/schema", Cost(0.0099)),
    ("GET", r"/ermrest.*", Cost(0.0117)),
    (".*", r"/ermrest.*", Cost(0.022, 2.97)),  # 1000 rows have 151 KiB and take 473 ms
    (".*", r".*", Cost(0.0065)),
)
FINALIZED_MIB_S: Final = 0.002  # Hatrac reads the whole content again


def cost_of(method: str, path: str) -> Cost:
    """Return the part of a request's cost that is known before its answer."""
    for methods, paths, cost in COSTS:
        if re.fullmatch(methods, method) and re.fullmatch(paths, path):
            return cost
    raise LookupError(path)  # the last line fits everything


def speed(known: Speed, requests: int) -> float:
    """Return how much work is done in a second while *requests* are under way."""
    for (fewer, slow), (more, fast) in pairwise(known):
        if fewer <= requests <= more:
            return slow + (fast - slow) * (requests - fewer) / (more - fewer)
    return known[-1][1]


class Service:
    """One of the services: the requests under way share its speed."""

    def __init__(self, known: Speed) -> None:
        self._known = known
        self.requests = 0

    async def work(self, work_s: float) -> float:
        """Do the work of one request under way; return how much too much was done, in seconds."""
        clock = asyncio.get_running_loop().time
        while work_s > NOTHING_S:
            share = speed(self._known, self.requests) / max(1, self.requests)
            begun_s = clock()
            await asyncio.sleep(min(work_s / share, SLICE_S))
            work_s -= (clock() - begun_s) * share
        return -work_s


class RealCosts:
    """An ASGI application around the services that takes as long as the real ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._services = {"hatrac": Service(HATRAC_SPEED), "ermrest": Service(ERMREST_SPEED)}
        self._others = Service(((1, 1.0),))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        service = self._services.get(scope["path"].split("/")[1], self._others)
        service.requests += 1
        try:
            await self._charge(service, scope, receive, send)
        finally:
            service.requests -= 1

    async def _charge(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        cost = cost_of(scope["method"], scope["path"])
        bill = _Bill(service, cost, scope, receive, send)
        await service.work(cost.s * (1 - CONTESTED))
        scope["state"]["begun_ns"] = time.monotonic_ns()
        await service.work(cost.s * CONTESTED)
        await self._app(scope, bill.receive, bill.send)


class _Bill:
    """Charges one request for its body as that comes, and for what the services found."""

    def __init__(
        self, service: Service, cost: Cost, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._service = service
        self._mib_s = cost.mib_s
        self._scope = scope
        self._receive = receive
        self._send = send
        self._owed_bytes = 0.0

    async def receive(self) -> Message:
        """Pass on a piece of the request's body."""
        message = await self._receive()
        self._owed_bytes += len(message.get("body", b""))
        if self._mib_s and (
            self._owed_bytes >= CHARGED_BYTES or not message.get("more_body", False)
        ):
            surplus_s = await self._service.work(self._owed_bytes / MIB * self._mib_s)
            self._owed_bytes = -surplus_s / self._mib_s * MIB
        return message

    async def send(self, message: Message) -> None:
        """Pass on a piece of the answer."""
        if message["type"] == "http.response.start":
            await self._service.work(self._found_s(message["status"]))
        await self._send(message)

    def _found_s(self, status: int) -> float:
        """Return the part of the cost that depends on what the services found."""
        state, path = self._scope["state"], self._scope["path"]
        entry_s = LISTED_S if path.startswith("/hatrac") else SCANNED_S
        found_s: float = state.get("entries", 0) * entry_s
        found_s += state.get("read_again_bytes", 0) / MIB * FINALIZED_MIB_S
        if path.endswith("/schema") and status == 200:  # noqa: PLR2004
            found_s += NEW_SCHEMA_S
        return found_s
