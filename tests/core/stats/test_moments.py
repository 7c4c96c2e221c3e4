from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.errors import SettingsError
from deriva_watch.core.stats.moments import moment

OLD = "0001-01-01T00:00+14:00"  # in UTC it is before all years
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        (" 24h ", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-02-03T08:30", datetime(2026, 2, 3, 8, 30, tzinfo=UTC)),
        ("2026-02-03T08:30+02:00", datetime(2026, 2, 3, 6, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_so_long_ago_or_a_date(text, at):
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "7", "-1d", "7y", "2026-13-01", "999999w", OLD])
def test_what_names_no_time_says_how_one_is_written(text):
    with pytest.raises(SettingsError, match='Write "90m"'):
        moment(text, NOW)
