import pytest

from deriva_watch.core.prose import counted
from deriva_watch.status.amounts import after, before, span

AT = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5399, "90 min"),
        (5401, "2 h"),
        (47 * 3600, "47 h"),
        (49 * 3600, "2 days"),
        (2000 * 86400, "2,000 days"),
    ],
)
def test_a_time_has_the_unit_that_fits(seconds, text):
    assert span(seconds) == text


def test_what_will_be_is_told_from_now():
    assert after("2026-03-01T12:00:20+00:00", AT) == "in 20 s"
    assert after("2026-03-01T11:00:00+00:00", AT) == "now"
    assert after(None, AT) == ""
    assert before("2026-03-01T11:58:00+00:00", AT) == "2 min ago"


def test_a_number_has_its_noun():
    assert [counted(n, "file") for n in (0, 1, 1204)] == ["0 files", "1 file", "1,204 files"]
