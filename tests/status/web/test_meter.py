"""What is counted of the events."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.events import (
    CallRetried,
    CatalogUnavailable,
    CredentialNeeded,
    ExecutionChanged,
    FileChanged,
    RootScanned,
    ServerRecovered,
    ServerUnavailable,
    TaskCrashed,
    WatchLost,
)
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState, FileTrigger
from deriva_watch.status.web.meter import Meter

AWAY = ServerUnavailable(host="h", why="refused", next_at="2026-03-01T12:00:00+00:00")
READY = ExecutionChanged(
    execution="1-AA",
    prefix="/data",
    state=ExecutionState.READY,
    before=ExecutionState.FILLING,
    trigger=ExecutionTrigger.COMPLETED,
)
UPLOADED = replace(
    READY, state=ExecutionState.UPLOADED, trigger=ExecutionTrigger.FINISHED, seconds=3.0
)
HASHED = FileChanged(
    execution="1-AA",
    path="a",
    state=FileState.HASHED,
    before=FileState.FOUND,
    trigger=FileTrigger.HASHED,
    size_bytes=700,
)
SENTENCE = {"what": "a", "why": "b", "next": "c"}


def value(meter, name, **labels):
    return meter.registry.get_sample_value(f"deriva_watch_{name}", labels)


def after(*events):
    meter = Meter()
    for event in events:
        meter.count(event)
    return meter


def test_an_event_is_counted_and_goes_on():
    meter, told = Meter(), []

    meter.tee(told.append)(AWAY)

    assert told == [AWAY]
    assert value(meter, "events_total", event="server.unavailable") == 1


@pytest.mark.parametrize(
    ("event", "name", "labels"),
    [
        (CallRetried(host="h", call="PUT /", why="503", wait_s=1), "retries_total", {"of": "call"}),
        (
            replace(READY, state=ExecutionState.WAITING, trigger=ExecutionTrigger.DEFERRED),
            "retries_total",
            {"of": "execution"},
        ),
        (WatchLost(prefix=None, why="overflow"), "watch_lost_total", {}),
        (TaskCrashed(where="x", why="y", traceback="z"), "crashes_total", {}),
        (
            RootScanned(prefix="/d", directories=3, ignored=0, seconds=0.1),
            "rescan_seconds_count",
            {},
        ),
        (replace(HASHED, state=FileState.STORED, seconds=1.5), "file_upload_seconds_count", {}),
        (UPLOADED, "execution_upload_seconds_count", {}),
    ],
)
def test_what_happened_is_counted(event, name, labels):
    meter = Meter()
    assert not value(meter, name, **labels)

    meter.count(event)

    assert value(meter, name, **labels) == 1


def test_bytes_are_counted_as_they_move():
    meter = after(HASHED)
    meter.moved("a", "hash", 700)
    meter.moved("a", "send", 300)
    meter.moved("a", "send", 400)

    assert value(meter, "hashed_bytes_total") == 700
    assert value(meter, "sent_bytes_total") == meter.sent_bytes == 700


def test_the_time_to_the_catalog_is_from_complete_to_uploaded():
    """Also where the wait began before this process."""
    meter = Meter()
    hour = datetime.now(UTC) - timedelta(hours=1)
    meter.know({("/data", "1-AB"): hour})

    meter.count(READY)
    meter.count(replace(READY, state=ExecutionState.UPLOADING, trigger=ExecutionTrigger.CLAIMED))
    meter.count(UPLOADED)
    meter.count(replace(UPLOADED, execution="1-AB"))
    meter.count(replace(UPLOADED, execution="1-AC"))  # nobody knows since when

    assert value(meter, "time_to_catalog_seconds_count") == 2
    assert value(meter, "time_to_catalog_seconds_sum") == pytest.approx(3600, abs=60)
    assert meter._complete_at == {}


def test_what_fills_again_or_is_refused_is_waited_for_no_more():
    for state in (ExecutionState.FILLING, ExecutionState.REFUSED, ExecutionState.GONE):
        meter = after(READY, replace(READY, state=state, trigger=ExecutionTrigger.CHANGED))

        assert meter._complete_at == {}


@pytest.mark.parametrize(
    "event",
    [AWAY, CredentialNeeded(host="h", **SENTENCE), CatalogUnavailable(host="h", **SENTENCE)],
)
def test_the_server_is_up_until_it_cannot_be_used_and_again_once_it_can(event):
    assert value(Meter(), "server_up") == 1
    assert value(after(event), "server_up") == 0
    assert value(after(event, ServerRecovered(host="h", seconds=9)), "server_up") == 1
