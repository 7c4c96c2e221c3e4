"""The fields of a record are listed once: what changes them and reports them has the same ones."""

from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from deriva_watch.core.events import FileChanged
from deriva_watch.core.records import (
    ON_SERVER,
    ExecutionFacts,
    ExecutionRecord,
    FileFacts,
    FileRecord,
    shown_fields,
)

MOVED = {"state", "changed_at"}  # only a trigger sets these
SET_ONCE = {
    ExecutionRecord: {"id", "prefix", "rid", "server", "unit", *MOVED},
    FileRecord: {"id", "execution_id", "path", *MOVED},
}


@pytest.mark.parametrize(
    ("record", "facts"), [(ExecutionRecord, ExecutionFacts), (FileRecord, FileFacts)]
)
def test_a_change_may_set_every_field_that_does_not_say_which_record_it_is(record: Any, facts: Any):
    hints = get_type_hints(record)

    changeable = {name: kind for name, kind in hints.items() if name not in SET_ONCE[record]}

    assert get_type_hints(facts) == changeable


def test_the_event_of_a_file_carries_all_that_the_server_holds_of_it():
    carried = {part.name for part in fields(FileChanged)}

    assert set(ON_SERVER) | {"path", "state"} <= carried


def test_numbers_and_notes_for_ourselves_are_not_shown():
    shown = set(shown_fields(FileRecord))

    assert shown == {part.name for part in fields(FileRecord)} - {
        *("id", "execution_id", "mtime_ns", "device", "inode", "ctime_ns"),
        *("statement", "job", "names", "types"),
    }
    assert set(shown_fields(ExecutionRecord)) == {part.name for part in fields(ExecutionRecord)} - {
        *("id", "checked_ns"),
    }
