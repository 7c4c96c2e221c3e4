"""A thread of low priority that repeats its work; uploads go first, and a bug in it stops none."""

import threading
from collections.abc import Callable

from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.edges.host.machine import yield_to_others
from deriva_watch.liveness import begin, end, waiting


def background(  # noqa: PLR0913  # what differs between them
    name: str,
    work: Callable[[], None],
    pause_s: float,
    stop: threading.Event,
    crashed: Callable[[], None],
    *,
    is_meant: Callable[[threading.Thread], bool] = lambda _thread: True,
) -> threading.Thread:
    """Return a thread, not started, that does *work* again and again, *pause_s* apart.

    Args:
        name: Of the thread.
        work: One piece; it may raise InterruptedWorkError to end the thread.
        pause_s: Between two pieces.
        stop: Ends the thread.
        crashed: Reports the exception that is being handled as a bug.
        is_meant: Whether a thread goes on; not if another one has replaced it.
    """

    def repeat() -> None:
        begin()
        yield_to_others()
        while not stop.is_set() and is_meant(threading.current_thread()):
            try:
                work()
            except InterruptedWorkError:
                return
            except Exception:  # noqa: BLE001  # a bug here must not stop uploads
                crashed()
            with waiting(pause_s):
                stop.wait(pause_s)
        end()

    return threading.Thread(target=repeat, name=name, daemon=True)
