"""Stages that overlap: an iterator that runs in a thread of its own, ahead of its consumer."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from deriva_watch.liveness import begin, end, waiting

T = TypeVar("T")


@contextmanager
def ahead(name: str, items: Generator[T], depth: int = 1) -> Iterator[Iterator[T]]:
    """Yield an iterator over *items*, which run in a thread, *depth* of them ahead at most.

    An error of *items* is raised where the consumer would have got the next one. On the way out
    *items* are closed and their thread has ended.
    """
    stage = _Stage(name, items, depth)
    try:
        yield iter(stage)
    finally:
        stage.close()


class _Stage(Generic[T]):
    def __init__(self, name: str, items: Generator[T], depth: int) -> None:
        self._items, self._depth = items, depth
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._is_closed = self._has_ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            with waiting(), self._changed:
                self._changed.wait_for(lambda: self._ready or self._has_ended)
                if not self._ready:
                    break
                item = self._ready.popleft()
                self._changed.notify_all()
            yield item
        if self._error:
            raise self._error

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        with waiting():
            self._thread.join()

    def _run(self) -> None:
        begin()
        try:
            for item in self._items:
                if not self._hand_over(item):
                    break
            self._items.close()
        except BaseException as error:  # noqa: BLE001  # the consumer raises it
            self._error = error
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        end()

    def _hand_over(self, item: T) -> bool:
        """Give *item* to the consumer once it is near enough; False if it wants no more."""
        with waiting(), self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._depth or self._is_closed)
            if not self._is_closed:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._is_closed
