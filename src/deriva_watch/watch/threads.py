"""Threads for work that may hang: made when none is to spare, and ended when there is no work.

They are daemon threads: the end of the process does not wait for one that hangs.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from deriva_watch import liveness

IDLE_S: Final = 10.0  # how long a thread waits for more work before it ends


@dataclass(slots=True)
class Threads:
    """Does each piece of work in a thread, at once.

    Attributes:
        name: How the names of the threads begin.
    """

    name: str
    _works: "queue.SimpleQueue[Callable[[], None]]" = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _idle: int = 0  # threads without work, less the work that waits for them
    _numbers: "count[int]" = field(default_factory=count)

    def do(self, work: Callable[[], None]) -> None:
        """Do *work* in one of the threads; it must raise nothing."""
        with self._lock:
            is_new = self._idle == 0
            self._idle -= not is_new
        self._works.put(work)
        if is_new:
            name = f"{self.name}{next(self._numbers)}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        liveness.begin_idle()
        while True:
            try:
                work = self._works.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._idle:  # else work for this thread is being put
                        self._idle -= 1
                        break
                continue
            work()
            liveness.rest()
            with self._lock:
                self._idle += 1
        liveness.end()
