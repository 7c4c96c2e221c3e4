"""Server-sent events: one view of the journal per second for all clients, none without clients."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import orjson

from deriva_watch.core.errors import TroubleError

EVERY_S: Final = 1.0
KEEP_ALIVE_S: Final = 15.0  # proxies close a connection that is silent for a minute
MOST: Final = 32  # clients at the same time; each holds a connection

_Slot = asyncio.Queue[bytes | None]


class Stream:
    """Sends `overview` when it has changed, and `trouble` while it cannot be made."""

    def __init__(self, overview: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._overview = overview
        self._slots: set[_Slot] = set()
        self._latest: bytes | None = None
        self._producer: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether there are MOST clients."""
        return len(self._slots) >= MOST

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the current view and every change, until `end`.

        A client that is too slow for a change gets the next one instead.
        """
        slot = _Slot(maxsize=1)
        self._slots.add(slot)
        if self._latest is not None:
            slot.put_nowait(self._latest)
        if self._producer is None:
            self._producer = asyncio.create_task(self._produce())
        try:
            while True:
                try:
                    event = await asyncio.wait_for(slot.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    return
                yield event
        finally:
            self._slots.discard(slot)

    def end(self) -> None:
        """End all streams."""
        self._give(None)

    async def _produce(self) -> None:
        before: object = None
        try:
            while self._slots:
                name, found = await self._look()
                if (now := {**found, "at": None}) != before:
                    before = now
                    self._latest = b"event: %b\ndata: %b\n\n" % (name, orjson.dumps(found))
                    self._give(self._latest)
                await asyncio.sleep(EVERY_S)
        finally:
            self._producer = self._latest = None

    async def _look(self) -> tuple[bytes, dict[str, Any]]:
        try:
            return b"overview", await self._overview()
        except TroubleError as error:
            return b"trouble", dict(error.sentence())

    def _give(self, event: bytes | None) -> None:
        for slot in self._slots:
            if slot.full():
                slot.get_nowait()
            slot.put_nowait(event)
