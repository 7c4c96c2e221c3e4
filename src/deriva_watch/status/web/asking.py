"""Questions to the journal that may take long: each in a thread of its own, none asked twice.

A journal on a disk that hangs holds up the thread that reads it, for ever perhaps. Whoever asked
gets an answer in time all the same, and who asks next does not send another thread after it.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from deriva_watch.core.errors import TransientError

WITHIN_S: Final = 1.5  # whoever asks for our health gives up after two seconds


Answer = TypeVar("Answer")


class Asking:
    """Asks *most* questions at a time, and waits no longer than *within_s* for an answer.

    All calls come from one event loop.
    """

    def __init__(self, most: int, within_s: float = WITHIN_S) -> None:
        self._most, self._within_s = most, within_s
        self._open: dict[object, Future[Any]] = {}

    async def ask(self, key: object, question: Callable[[], Answer]) -> Answer:
        """Return the answer to *question*; TransientError where none comes in time.

        While one is under way others who ask for the same *key* wait for the same answer.
        """
        self._open = {asked: future for asked, future in self._open.items() if not future.done()}
        if key not in self._open:
            if len(self._open) >= self._most:
                raise _late("too much is asked of it at the same time")
            self._open[key] = _begin(question)
        answer: asyncio.Future[Answer] = asyncio.wrap_future(self._open[key])
        done, _ = await asyncio.wait([answer], timeout=self._within_s)
        if not done:
            answer.add_done_callback(asyncio.Future.exception)  # nobody waits for it any more
            raise _late(f"it did not answer within {self._within_s} s")
        return answer.result()


def _begin(question: Callable[[], Answer]) -> "Future[Answer]":
    future: Future[Answer] = Future()
    future.set_running_or_notify_cancel()  # whoever waits may give up, the question stays

    def answer() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # noqa: BLE001  # it is raised where the answer is awaited
            future.set_exception(error)

    # No pool: its threads would hold up the end of the process.
    threading.Thread(target=answer, name="status question", daemon=True).start()
    return future


def _late(why: str) -> TransientError:
    return TransientError(
        "cannot read the journal", why, "See whether the disk that it lies on answers; ask again."
    )
