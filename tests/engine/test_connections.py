"""The number of connections follows the answers of the object store."""

import pytest

from deriva_watch.core.errors import ServerBusyError
from deriva_watch.engine.connections import Connections
from deriva_watch.engine.fair_pool import FairPool


def busy():
    raise ServerBusyError("cannot store", "too much to do")


def test_many_calls_that_fail_at_once_count_once():
    connections = Connections(FairPool("test", 16), 16)
    before = connections.count

    def fail_while_others_fail(depth):
        """Begin a call, and let it fail after those that began later."""
        if depth:
            with pytest.raises(ServerBusyError):
                connections.send(1, lambda: fail_while_others_fail(depth - 1))
        busy()

    with pytest.raises(ServerBusyError):
        connections.send(1, lambda: fail_while_others_fail(8))

    assert connections.count == before // 2


def test_a_result_and_an_error_reach_the_caller():
    connections = Connections(FairPool("test", 4), 4)

    assert connections.send(10, lambda: 42) == 42
    with pytest.raises(KeyError):
        connections.send(10, lambda: {}["none"])
    assert connections.count == 4
