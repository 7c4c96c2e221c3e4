"""What looks ask the server, so that none of them waits long for an answer.

A look waits a moment. An answer that comes later is kept for the next look at the unit. A question
that hangs is left behind in its thread and asked once more; the looks at other units go on.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Final

from deriva_watch import liveness
from deriva_watch.core.errors import AnswerPendingError, TransientError
from deriva_watch.core.model import TableName
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.watch.threads import Threads

PATIENCE_S: Final = 1.0  # how long a look waits
FRESH_S: Final = 10.0  # how long an answer counts that came later
LEFT_BEHIND: Final = 8  # with so many questions that hang nothing is asked
TRIES: Final = 2  # questions about one unit that may hang at a time

_Key = tuple[str, str]


def called(host: str) -> str:
    """Return how the server is called where it is reported that it does not answer."""
    return f"the server {host}"


@dataclass(slots=True, eq=False)
class _Question:
    tries: int = 1
    answer: "Future[Any]" = field(default_factory=Future)
    asked_s: float = field(default_factory=time.monotonic)
    answered_s: float = 0.0

    @property
    def hangs(self) -> bool:
        late_s = self.asked_s + liveness.METADATA_S
        return not self.answer.done() and time.monotonic() > late_s

    @property
    def is_stale(self) -> bool:
        return self.answer.done() and time.monotonic() > self.answered_s + FRESH_S


@dataclass(slots=True)
class Questions:
    """Asks the catalog about executions. Any thread may call; each unit has one that does.

    Attributes:
        catalog: Answers.
        server: How it is called where it is reported that it does not answer.
    """

    catalog: Catalog
    server: str
    _asked: dict[_Key, _Question] = field(default_factory=dict)
    _open: int = 0  # questions without an answer
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: Threads = field(default_factory=lambda: Threads("question-"))

    def execution(self, rid: str) -> Row | None:
        """Return the row of deriva-ml:Execution, or None.

        Raises AnswerPendingError if there is no answer yet, TransientError if questions hang; also
        raises the errors of `engine.ports`.
        """
        row: Row | None = self._ask(("execution", rid), lambda: self.catalog.execution(rid))
        return row

    def rid_table(self, rid: str) -> TableName | None:
        """Return the table of the row *rid*, or None; raises as `execution`."""
        table: TableName | None = self._ask(("table", rid), lambda: self.catalog.rid_table(rid))
        return table

    def _ask(self, key: _Key, ask: Callable[[], Any]) -> Any:
        question = self._asked.get(key)
        if question is None or question.is_stale:
            question = self._begin(key, ask, tries=1)
        elif question.hangs:
            question = self._begin(key, ask, question.tries + 1)
        if not question.answer.done():
            raise AnswerPendingError(f"{self.server} was asked about {key[1]}")
        self._asked.pop(key, None)
        return question.answer.result()

    def _begin(self, key: _Key, ask: Callable[[], Any], tries: int) -> _Question:
        """Ask, and wait for a moment. Raises TransientError if too many questions hang."""
        with self._lock:
            if tries > TRIES or self._open >= LEFT_BEHIND:
                why = f"{self.server} has not answered earlier questions"
                raise TransientError(f"cannot ask about {key[1]}", why)
            self._open += 1
        question = self._asked[key] = _Question(tries)
        self._threads.do(lambda: self._answer(question, ask))
        with liveness.waiting(PATIENCE_S):
            wait([question.answer], PATIENCE_S)
        return question

    def _answer(self, question: _Question, ask: Callable[[], Any]) -> None:
        try:
            with liveness.depending_on(self.server, strict=True):
                found = ask()
        except BaseException as error:  # noqa: BLE001  # the look that asked gets it
            self._close(question)
            question.answer.set_exception(error)
        else:
            self._close(question)
            question.answer.set_result(found)

    def _close(self, question: _Question) -> None:
        question.answered_s = time.monotonic()
        with self._lock:
            self._open -= 1
