from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.stats.throughput import Sent, job_bytes, job_sent, rate_bytes_per_s

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
JOB = {"chunk_bytes": 100, "size_bytes": 250}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("sent", "since", "rate"),
    [
        ([], LONG_AGO, None),
        ([Sent(600, ago(30), 1)], LONG_AGO, 10),
        ([Sent(600, ago(30), 1), Sent(600, ago(10), 5)], LONG_AGO, 20),
        ([Sent(600, ago(61), 1)], LONG_AGO, None),
        ([Sent(600, ago(0), 600)], LONG_AGO, 1),  # a tenth of the time is in the last minute
        ([Sent(600, ago(30), 60)], LONG_AGO, 5),
        ([Sent(600, ago(0), 10)], ago(20), 30),  # it began 20 s ago
        ([Sent(600, ago(0), 0.1)], ago(0.5), None),  # too soon to tell
        ([Sent(600, ago(0), 1)], NOW + timedelta(hours=1), None),  # the clock was set back
    ],
)
def test_the_rate_is_that_of_the_last_minute(sent, since, rate):
    assert rate_bytes_per_s(sent, since, NOW) == pytest.approx(rate)


def test_a_job_has_the_bytes_of_its_acknowledged_chunks():
    assert job_bytes({**JOB, "chunks": []}) == 0
    assert job_bytes({**JOB, "chunks": [0, 1]}) == 200
    assert job_bytes({**JOB, "chunks": [0, 1, 2]}) == 250


def test_a_job_that_goes_on_counts_what_was_sent_since():
    """What an earlier process sent, perhaps yesterday, says nothing of the rate."""
    job = {**JOB, "chunks": [0, 1], "resumed": {"at": ago(20).isoformat(), "bytes": 100}}

    assert job_sent(job, NOW) == Sent(100, NOW, 20)
    assert job_sent({**job, "chunks": []}, NOW) is None
    assert job_sent({**JOB, "chunks": [0]}, NOW) is None
