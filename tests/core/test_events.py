"""Everything that is reported is documented, named once, and can be written as JSON."""

import json
from dataclasses import fields
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from deriva_watch.core import events
from deriva_watch.core.events import (
    ALL_EVENTS,
    Event,
    ExecutionChanged,
    FileChanged,
    TroubleEvent,
)
from deriva_watch.core.states import ExecutionState, FileState

LEVELS = {"debug", "info", "warning", "error"}


def example(kind: Any) -> Any:
    """Return a value of a field's type."""
    if isinstance(kind, UnionType):
        return example(get_args(kind)[0])
    if get_origin(kind) is dict:
        return {"a": example(get_args(kind)[1])}
    if get_origin(kind) is list:
        return [example(get_args(kind)[0])]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return next(iter(kind))
    return {str: "x", int: 1, float: 0.5, bool: True, Any: None}[kind]


def whole(event: type[Event], **facts: Any) -> Event:
    """Return an event with all of its fields."""
    hints = get_type_hints(event)
    return event(**{field.name: example(hints[field.name]) for field in fields(event)} | facts)


def test_every_event_is_listed():
    defined = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, Event)
    } - {Event, TroubleEvent}

    assert set(ALL_EVENTS) == defined
    assert len(ALL_EVENTS) == len(defined)


def test_no_two_events_have_one_name():
    names = [event.NAME for event in ALL_EVENTS]
    changes = [f"execution.{state}" for state in ExecutionState]
    changes += [f"file.{state}" for state in FileState]

    assert len(set(names + changes)) == len(names + changes)


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: event.__name__)
def test_an_event_says_what_it_means_and_how_loud_it_is(event: type[Event]):
    """The docstring is the documentation of the event."""
    assert event.__doc__
    assert not event.__doc__.startswith(f"{event.__name__}(")  # what dataclass writes
    assert event.__doc__.endswith(".")
    assert event.NAME.count(".") == 1
    assert whole(event).level in LEVELS


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: event.__name__)
def test_an_event_can_be_written_as_json(event: type[Event]):
    values = whole(event).values()

    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values.keys() == {field.name for field in fields(event)}


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: event.__name__)
def test_no_field_stands_in_the_way_of_the_line_it_is_written_in(event: type[Event]):
    assert {field.name for field in fields(event)}.isdisjoint({"event", "level", "timestamp"})


def test_fields_that_say_nothing_are_left_out():
    changed = FileChanged(
        execution="4-A", path="a", state=FileState.FOUND, before=None, trigger=None, size_bytes=0
    )

    assert changed.values() == {
        "execution": "4-A",
        "path": "a",
        "state": "found",
        "size_bytes": 0,
    }


@pytest.mark.parametrize(
    ("event", "name", "level"),
    [
        (whole(ExecutionChanged, state=ExecutionState.UPLOADED), "execution.uploaded", "info"),
        (whole(ExecutionChanged, state=ExecutionState.WAITING), "execution.waiting", "warning"),
        (whole(ExecutionChanged, state=ExecutionState.REFUSED), "execution.refused", "error"),
        (whole(FileChanged, state=FileState.LINKED), "file.linked", "info"),
        (whole(FileChanged, state=FileState.UNMATCHED), "file.unmatched", "warning"),
        (whole(FileChanged, state=FileState.REFUSED), "file.refused", "error"),
    ],
)
def test_a_change_of_state_is_named_after_the_state(event: Event, name: str, level: str):
    assert (event.name, event.level) == (name, level)


def test_any_other_event_has_the_name_of_its_kind():
    assert whole(events.ServerUnavailable).name == "server.unavailable"
