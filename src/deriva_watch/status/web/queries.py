"""Queries of the journal with a time limit: each in its own thread, none twice at a time.

A journal on a hanging disk blocks the thread that reads it, perhaps forever. The client still gets
an answer in time, and the next client does not block another thread.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from deriva_watch.core.errors import TransientError

WITHIN_S: Final = 1.5  # health checks usually give up after two seconds


Answer = TypeVar("Answer")


class Queries:
    """Runs at most *most* queries at a time, and waits at most *within_s* seconds for each.

    All calls must come from one event loop.
    """

    def __init__(self, most: int, within_s: float) -> None:
        self._most, self._within_s = most, within_s
        self._open: dict[object, Future[Any]] = {}

    async def ask(self, key: object, question: Callable[[], Answer]) -> Answer:
        """Return the answer to *question*; TransientError if none comes in time.

        Callers with the same *key* share the query that is running.
        """
        self._open = {asked: future for asked, future in self._open.items() if not future.done()}
        if key not in self._open:
            if len(self._open) >= self._most:
                raise _late("too many queries are running")
            self._open[key] = _begin(question)
        answer: asyncio.Future[Answer] = asyncio.wrap_future(self._open[key])
        done, _ = await asyncio.wait([answer], timeout=self._within_s)
        if not done:
            answer.add_done_callback(
                asyncio.Future.exception
            )  # mark it as handled: nobody waits for it
            raise _late(f"it did not answer within {self._within_s} s")
        return answer.result()


def _begin(question: Callable[[], Answer]) -> "Future[Answer]":
    future: Future[Answer] = Future()
    future.set_running_or_notify_cancel()  # a waiter that gives up must not cancel it

    def answer() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # noqa: BLE001  # raised where the answer is awaited
            future.set_exception(error)

    # No pool: its threads would delay the end of the process.
    threading.Thread(target=answer, name="status question", daemon=True).start()
    return future


def _late(why: str) -> TransientError:
    return TransientError(
        "cannot read the journal", why, "Check whether its disk responds, and try again."
    )
