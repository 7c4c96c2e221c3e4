import pytest

from deriva_watch.core.errors import IllegalTransitionError
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    FILE_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
    execution_after,
    file_after,
)

TABLES = pytest.mark.parametrize("table", [EXECUTION_TRANSITIONS, FILE_TRANSITIONS])


def triggers_in(table):
    return {trigger for row in table.values() for trigger in row}


def test_every_state_has_a_row():
    assert set(EXECUTION_TRANSITIONS) == set(ExecutionState)
    assert set(FILE_TRANSITIONS) == set(FileState)


def test_every_trigger_moves_something():
    assert triggers_in(EXECUTION_TRANSITIONS) == set(ExecutionTrigger)
    assert triggers_in(FILE_TRANSITIONS) == set(FileTrigger)


@TABLES
def test_every_state_can_be_reached_from_the_first(table):
    reached, last = {next(iter(table))}, set()
    while reached != last:
        last = reached
        reached = last | {to for state in last for to in table[state].values()}

    assert reached == set(table)


@TABLES
def test_no_state_is_a_dead_end(table):
    assert all(table.values())


@pytest.mark.parametrize(
    ("table", "after"), [(EXECUTION_TRANSITIONS, execution_after), (FILE_TRANSITIONS, file_after)]
)
def test_a_trigger_leads_where_the_table_says_or_nowhere(table, after):
    """Every pair of state and trigger is tried."""
    for state, row in table.items():
        for trigger, to in row.items():
            assert after(state, trigger) is to
        for trigger in triggers_in(table) - row.keys():
            with pytest.raises(IllegalTransitionError, match=r"cannot happen to an? "):
                after(state, trigger)
