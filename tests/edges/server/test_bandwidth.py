"""How fast bytes may leave, at which time."""

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from deriva_watch.core.timetable import Period, Timetable
from deriva_watch.edges.server.bandwidth import Bandwidth

EVERY_DAY = frozenset(range(7))


@pytest.fixture
def berlin(monkeypatch):
    """This machine is in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield ZoneInfo("Europe/Berlin")
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("day", "limited_hours"),
    [("2026-03-28", 1), ("2026-03-29", 0), ("2026-10-24", 1), ("2026-10-25", 2)],
)
def test_limits_follow_the_clock_on_the_wall_when_it_is_changed(berlin, day, limited_hours):
    """On 29 March the hour from two to three is left out, on 25 October it comes twice."""
    start_s = datetime.fromisoformat(day).replace(tzinfo=berlin).timestamp()
    now_s = start_s
    limits = Timetable((Period(EVERY_DAY, 120, 180, 100),))
    line = Bandwidth(limits, localtime=lambda: time.localtime(now_s))
    limited = timedelta()

    while time.localtime(now_s)[:3] == time.localtime(start_s)[:3]:
        assert (line.bytes_per_s() == 100) == (time.localtime(now_s).tm_hour == 2)
        limited += timedelta(minutes=line.bytes_per_s() // 100)
        now_s += 60

    assert limited == timedelta(hours=limited_hours)


def test_a_limit_that_begins_while_bytes_are_sent_counts_from_the_next_piece():
    hour = 7
    limits = Timetable((Period(EVERY_DAY, 8 * 60, 18 * 60, 100),))
    line = Bandwidth(limits, localtime=lambda: time.struct_time((2026, 3, 2, hour, 0, 0, 0, 61, 0)))

    assert line.piece_bytes(10**6) == 10**6
    hour = 8
    line.wait(10**6)  # was begun before; at this limit it would take hours
    assert line.piece_bytes(10**6) == 50
    start_s = time.monotonic()
    line.wait(50)
    assert time.monotonic() - start_s <= 5


def test_no_limit_waits_for_nothing():
    line = Bandwidth(Timetable(otherwise=0))

    assert line.piece_bytes(10**9) == 10**9
    line.wait(10**12)


@pytest.mark.parametrize("limits", [10**6, Timetable(otherwise=10**6)])
def test_what_was_sent_delays_what_comes_next(limits):
    line = Bandwidth(limits)
    start_s = time.monotonic()

    line.wait(250_000)
    line.wait(1)

    assert time.monotonic() - start_s >= 0.25
