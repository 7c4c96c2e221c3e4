"""Runs work in a thread of its own; its reports are handled in the caller's thread."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from deriva_watch.library.progress import UploadProgress

T = TypeVar("T")
Report = Callable[[Any], None]
LOG: Final = logging.getLogger("deriva_watch")
_END: Final = object()


def run_in_background(
    work: Callable[[Report], T], handle: Callable[[Any], None], stop: threading.Event
) -> T:
    """Do *work* in another thread and pass its reports to *handle* in this one; return its result.

    An exception here, such as KeyboardInterrupt, sets *stop* and is raised once the work has ended.
    """
    reports: SimpleQueue[Any] = SimpleQueue()
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work(reports.put))
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            result.set_exception(error)
        finally:
            reports.put(_END)

    thread = threading.Thread(target=run, name="deriva-watch upload")
    thread.start()
    try:
        while (each := reports.get()) is not _END:
            handle(each)
    finally:
        stop.set()
        thread.join()
    return result.result()


class Callback:
    """A caller's function for progress; an exception of it stops nothing and is logged once."""

    def __init__(self, function: Callable[[UploadProgress], None] | None) -> None:
        self._function = function
        self._raised: dict[str, int] = {}

    def __call__(self, progress: UploadProgress) -> None:
        """Call it."""
        if self._function is None:
            return
        try:
            self._function(progress)
        except Exception as error:
            kind = type(error).__name__
            if kind not in self._raised:
                LOG.exception("the progress callback raised %s; the upload continues", kind)
            self._raised[kind] = self._raised.get(kind, 0) + 1

    def close(self) -> None:
        """Log how often it failed."""
        if self._raised:
            counts = ", ".join(f"{kind} {count} times" for kind, count in self._raised.items())
            LOG.warning("the progress callback raised %s; the upload was not stopped", counts)
