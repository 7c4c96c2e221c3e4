"""When uploaded units are verified again: all within the period, and evenly."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.reverification import Pace, Proof, proof_said, sentence
from deriva_watch.core.removal.verification import Difference, Where
from deriva_watch.core.states import ExecutionState

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
MONTH, HOUR = timedelta(days=30), timedelta(hours=1)
UNIT = ExecutionRecord(1, "/data", "1-AA", "example.org/1", ExecutionState.UPLOADED, BEGAN)


@pytest.mark.parametrize(("restart_every", "most"), [(None, 3), (timedelta(days=3), 6)])
def test_all_units_have_their_turn_within_the_period_and_few_on_a_day(restart_every, most):
    """They were all uploaded in one night."""
    pace, units = Pace(MONTH), 50
    verified = dict.fromkeys(range(units), BEGAN)
    now = ended = BEGAN
    begins, oldest = [], timedelta()
    while now < BEGAN + 3 * MONTH:
        now += HOUR
        if restart_every and (now - BEGAN) % restart_every == timedelta():
            ended = now
        number = min(verified, key=verified.get)
        oldest = max(oldest, now - verified[number])
        unit = replace(UNIT, verified_at=verified[number])
        if pace.is_due(unit, now, now - ended, units):
            verified[number] = ended = now
            begins.append(now)

    assert oldest <= MONTH
    per_day = [sum((at - BEGAN).days == day for at in begins) for day in range(90)]
    assert max(per_day) <= most


@pytest.mark.parametrize(
    ("verified", "differs", "is_due"),
    [
        (None, None, True),  # a person has retried it
        (BEGAN, None, False),
        (BEGAN - timedelta(days=27), None, True),  # however often the daemon was restarted
        (BEGAN - timedelta(days=1), {"why": "403"}, True),
        (BEGAN - timedelta(hours=23), {"why": "403"}, False),
    ],
)
def test_a_unit_is_due_by_age_and_sooner_where_it_differs(verified, differs, is_due):
    unit = replace(UNIT, verified_at=verified, differs=differs)

    assert Pace(MONTH).is_due(unit, BEGAN, timedelta(), 1) is is_due


def test_the_pauses_of_all_calls_fit_into_the_period():
    pace = Pace(MONTH)

    assert pace.pause_s(1000) == 1.0
    assert pace.pause_s(50_000_000) * 50_000_000 < MONTH.total_seconds() / 2


def test_a_proof_says_what_it_proves():
    assert "not asked again" in proof_said({"by": Proof.UPLOAD})
    assert "no stored bytes were read" in proof_said({"by": Proof.SERVER})
    assert "read back and hashed" in proof_said({"by": Proof.BYTES})
    assert proof_said({"by": "server", "unverified": 2}).endswith(
        "; 2 files could not be verified in whole"
    )


def test_the_first_of_many_differences_is_told_and_how_many_there_are():
    found = [
        Difference(Where.SERVER, n, f"{n} is lost", "it is gone", "Restore it.") for n in "abc"
    ]

    said = sentence(UNIT, found)

    assert said["what"] == "a is lost (and 2 more differences)"
    assert said["next"].startswith("Restore it. `deriva-watch verify 1-AA` names all")
