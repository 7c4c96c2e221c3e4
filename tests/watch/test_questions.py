"""What looks ask the server costs the look at one unit at most a moment."""

import threading
import time

import pytest

from deriva_watch import liveness
from deriva_watch.core.errors import AnswerPendingError, ServerAwayError, TransientError
from deriva_watch.watch import questions as module
from deriva_watch.watch.questions import Questions
from running import wait_until

SERVER = "the server data.example.org"


class Catalog:
    """A catalog that answers about some executions only once it is told to."""

    def __init__(self, *silent):
        self.silent, self.asked, self.answers = set(silent), [], threading.Event()

    def execution(self, rid):
        """Return its row."""
        self.asked.append(rid)
        if rid in self.silent:
            self.answers.wait(60)
        if rid == "away":
            raise ServerAwayError("cannot ask", "refused")
        return {"RID": rid}

    def rid_table(self, _rid):
        """Return no table."""
        return


@pytest.fixture
def catalog(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    catalog = Catalog("1-SLOW")
    yield catalog
    catalog.answers.set()
    wait_until(lambda: not any(each.about == SERVER for each in liveness.hangs()))


def pending(questions, rid="1-SLOW"):
    with pytest.raises(AnswerPendingError):
        questions.execution(rid)
    return True


def test_an_answer_or_an_error_that_comes_at_once_is_that_of_the_look(catalog):
    questions = Questions(catalog, SERVER)

    assert questions.execution("1-AB") == {"RID": "1-AB"}
    assert questions.rid_table("1-AB") is None
    with pytest.raises(ServerAwayError):
        questions.execution("away")


def test_a_question_without_an_answer_delays_no_other_and_is_not_repeated(catalog):
    questions = Questions(catalog, SERVER)
    pending(questions)

    began_s = time.monotonic()
    for number in range(20):
        pending(questions)
        assert questions.execution(f"1-{number}") == {"RID": f"1-{number}"}

    assert time.monotonic() - began_s < 30
    assert catalog.asked.count("1-SLOW") == 1


def test_an_answer_that_comes_late_is_that_of_the_next_look(catalog):
    questions = Questions(catalog, SERVER)
    pending(questions)
    catalog.answers.set()

    wait_until(questions._asked["execution", "1-SLOW"].answer.done)
    assert questions.execution("1-SLOW") == {"RID": "1-SLOW"}
    assert catalog.asked == ["1-SLOW"]


def test_an_answer_that_is_old_is_asked_for_again(catalog, monkeypatch):
    questions = Questions(catalog, SERVER)
    pending(questions)
    catalog.answers.set()
    wait_until(questions._asked["execution", "1-SLOW"].answer.done)

    monkeypatch.setattr(module, "FRESH_S", -1.0)
    assert questions.execution("1-SLOW") == {"RID": "1-SLOW"}
    assert catalog.asked == ["1-SLOW", "1-SLOW"]


def test_a_question_that_hangs_is_told_and_asked_once_more(catalog, monkeypatch):
    monkeypatch.setattr(liveness, "METADATA_S", 0.01)
    questions = Questions(catalog, SERVER)
    pending(questions)
    wait_until(lambda: [each.about for each in liveness.hangs()] == [SERVER])
    catalog.silent.clear()

    assert questions.execution("1-SLOW") == {"RID": "1-SLOW"}


def test_a_unit_whose_questions_always_hang_costs_two_threads(catalog, monkeypatch):
    monkeypatch.setattr(liveness, "METADATA_S", 0.0)
    questions = Questions(catalog, SERVER)
    pending(questions)
    pending(questions)

    with pytest.raises(TransientError, match="has not answered earlier questions"):
        questions.execution("1-SLOW")

    assert catalog.asked == ["1-SLOW"] * 2
    assert questions.execution("1-AB") == {"RID": "1-AB"}


def test_nothing_is_asked_while_eight_questions_hang(catalog):
    silent = [f"1-{number}" for number in range(module.LEFT_BEHIND)]
    catalog.silent.update(silent)
    questions = Questions(catalog, SERVER)
    for rid in silent:
        pending(questions, rid)

    with pytest.raises(TransientError):
        questions.execution("1-AB")

    catalog.answers.set()
    wait_until(lambda: questions._open == 0)
    assert questions.execution("1-AB") == {"RID": "1-AB"}
