"""Threads that units share in turn, with one thread that only does small pieces of work."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from deriva_watch.core.errors import InterruptedWorkError
from deriva_watch.liveness import begin_idle, end, rest, slow

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    owner: Hashable
    call: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)

    def refuse(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(InterruptedWorkError("stopping"))

    def run(self) -> None:
        if self.future.set_running_or_notify_cancel():
            try:
                result = self.call()
            except BaseException as error:  # noqa: BLE001  # the caller gets it
                self.future.set_exception(error)
            else:
                self.future.set_result(result)


class _Turns:
    """Tasks by owner; owners take turns, and the tasks of one keep their order."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[Hashable, deque[_Task]] = OrderedDict()

    def put(self, task: _Task) -> None:
        self._tasks.setdefault(task.owner, deque()).append(task)

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def take(self, but: Collection[Hashable] = ()) -> _Task | None:
        """Take the next task of an owner that is not in *but*."""
        owner = next((each for each in self._tasks if each not in but), None)
        if owner is None:
            return None
        tasks = self._tasks[owner]
        task = tasks.popleft()
        if tasks:
            self._tasks.move_to_end(owner)
        else:
            del self._tasks[owner]
        return task


class FairPool:
    """A pool of threads for many owners.

    Owners take turns, so a unit with a million files holds up no other. Small work also has a
    thread of its own, so it never waits until a large file is through. A thread that may
    hang at a root gets a substitute, and its owner no other thread: a root that does not answer
    holds up no other either.

    Args:
        name: Of its threads.
        threads: How many do work of any size. Only a single one has no thread for small work
            beside it: then one thing is done at a time.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._threads, self._most = name, threads, threads
        self._started = 0  # threads for work of any size
        self._busy = 0  # those of them that have some
        self._at: dict[threading.Thread, Hashable] = {}  # whose work threads do
        self._hung: dict[threading.Thread, Hashable] = {}  # those that may hang
        self._numbers = count()
        self._has_small = False  # whether the thread for small work was started
        self._small, self._large = _Turns(), _Turns()
        self._turns = [self._small, self._large]
        self._lock = threading.Lock()
        self._for_any, self._for_small = (threading.Condition(self._lock) for _ in range(2))
        self._is_closed = False

    @property
    def most(self) -> int:
        """How many threads there may be for work of any size."""
        return self._most

    @property
    def has_waiting(self) -> bool:
        """Whether something waits for a thread."""
        return bool(self._small or self._large)

    def resize(self, threads: int) -> None:
        """Let so many threads do work of any size, at most as many as at first."""
        with self._lock:
            self._threads = min(threads, self._most)
            self._start_enough()
            self._for_any.notify_all()

    def replace_hung(self) -> None:
        """Start a substitute for each thread that may hang; it ends once that thread goes on."""
        threads = [each.waits for each in slow()]
        with self._lock:
            hung = {thread: self._at[thread] for thread in threads if thread in self._at}
            if hung == self._hung or self._is_closed:
                return
            self._hung = hung
            self._start_enough()
            self._for_any.notify_all()
            self._for_small.notify_all()

    def submit(self, owner: Hashable, call: Callable[[], T], *, is_small: bool) -> Future[T]:
        """Have *call* done when it is *owner*'s turn; once the pool is closed it is refused."""
        task = _Task(owner, call)
        with self._lock:
            if self._is_closed:
                task.refuse()
                return task.future
            (self._small if is_small else self._large).put(task)
            self._start_enough()
            if self._busy < self._room():  # the others take the next task by themselves
                self._for_any.notify()
            self._let_small_pass()
        return task.future

    def close(self) -> None:
        """Refuse what has not begun with InterruptedWorkError; do not wait for what has."""
        with self._lock:
            self._is_closed = True
            while task := self._small.take() or self._large.take():
                task.refuse()
            self._for_any.notify_all()
            self._for_small.notify_all()

    def _start_enough(self) -> None:
        """Start all threads once something waits for one."""
        while self.has_waiting and self._started < self._room():
            self._start_one(str(next(self._numbers)), self._work)
            self._started += 1

    def _let_small_pass(self) -> None:
        """Have small work done although all threads for any work are busy."""
        if self._small and self._busy >= self._room() and self._most > 1:
            if not self._has_small:
                self._start_one("small", self._work_small)
                self._has_small = True
            self._for_small.notify()

    def _start_one(self, name: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"{self._name}_{name}", daemon=True).start()

    def _work_small(self) -> None:
        begin_idle()
        while task := self._next(self._for_small, self._take_small):
            self._run(task)
        end()

    def _take_small(self) -> _Task | None:
        return self._small.take(self._hung.values())

    def _room(self) -> int:
        """Return how many threads may do work of any size now."""
        return self._threads + len(self._hung)

    def _run(self, task: _Task) -> None:
        thread = threading.current_thread()
        with self._lock:
            self._at[thread] = task.owner
        task.run()
        rest()
        with self._lock:
            del self._at[thread]

    def _work(self) -> None:
        begin_idle()
        while task := self._next(self._for_any, self._take):
            self._run(task)
            with self._lock:
                self._busy -= 1
                if self._started > self._most + len(self._hung):
                    self._started -= 1
                    self._for_any.notify()  # an idle one has to take the next task
                    break
        end()

    def _take(self) -> _Task | None:
        """Take the next task unless enough threads are busy; small and large ones alternate."""
        if self._busy >= self._room():
            return None
        self._turns.reverse()
        but = self._hung.values()
        task = self._turns[0].take(but) or self._turns[1].take(but)
        self._busy += task is not None
        self._let_small_pass()
        return task

    def _next(self, changed: threading.Condition, take: Callable[[], _Task | None]) -> _Task | None:
        """Wait for a task; None once the pool is closed."""
        with changed:
            while not self._is_closed:
                if (task := take()) is not None:
                    return task
                changed.wait()
        return None
