"""Who looks on."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from deriva_watch.core.changes import AddFile, MoveFile
from deriva_watch.core.states import FileTrigger
from deriva_watch.status.web import serving
from deriva_watch.status.web import stream as stream_module
from running import wait_until
from status.visiting import Counting, Hanging, ask, claimed, looking_on, next_event, said, served


@pytest.mark.usefixtures("hurried")
def test_a_stream_tells_what_stands_and_then_each_change(journal):
    with served(journal) as here, looking_on(here) as stream:
        name, first = next_event(stream)
        number = claimed(journal)
        name_again, second = next_event(stream)
        while not second["executions"]["uploading"]:  # a look amid the commits of a claim
            name_again, second = next_event(stream)
        journal.commit(
            [MoveFile(*journal.commit([AddFile(number, "a", {})]), FileTrigger.UNMATCHED)]
        )
        third = next_event(stream)[1]
        while not third["files"]["unmatched"]:  # a look between the two commits
            third = next_event(stream)[1]

    assert name == name_again == "overview"
    assert (first["executions"]["uploading"], second["executions"]["uploading"]) == (0, 1)
    assert third["files"]["unmatched"] == 1


@pytest.mark.usefixtures("hurried")
def test_many_who_look_on_cost_one_look_at_a_time_and_nobody_costs_none(journal):
    counting = Counting(journal)
    with served(counting) as here, ExitStack() as streams:
        for stream in [streams.enter_context(looking_on(here)) for _ in range(5)]:
            next_event(stream)
        before, began_s = counting.looks, time.monotonic()
        wait_until(lambda: counting.looks > before + 2)
        looks, took_s = counting.looks - before, time.monotonic() - began_s
        streams.close()
        wait_until(lambda: not looks_within(counting, 0.5))

    assert looks <= 1 + took_s / stream_module.EVERY_S


def looks_within(counting, seconds):
    before = counting.looks
    time.sleep(seconds)
    return counting.looks - before


def test_a_stream_says_when_the_journal_cannot_be_read(journal):
    hanging = Hanging(journal)
    hanging.answer.set()
    with served(hanging) as here, looking_on(here) as stream:
        name, trouble = next_event(stream)

    assert (name, trouble["what"], trouble["why"]) == ("trouble", "cannot read it", "it hung")


def test_no_more_look_on_than_may_and_a_silent_stream_stays_open(journal, monkeypatch):
    monkeypatch.setattr(stream_module, "MOST", 1)
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.1)
    with served(journal) as here, looking_on(here) as stream:
        while stream.readline() != b": still here\n":
            pass
        refused = ask(here, "/stream")

    assert (refused.status, said(refused)["why"]) == (503, "too many pages are open")


def test_the_end_does_not_wait_for_who_looks_on_or_reads_nothing(journal, monkeypatch):
    monkeypatch.setattr(serving, "STOP_S", 20.0)  # so long it would be waited for
    before = set(threading.enumerate())
    with served(journal) as here:
        silent = socket.create_connection(("127.0.0.1", here.port))
        silent.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with looking_on(here) as stream:
            next_event(stream)
    silent.close()

    assert "status page" not in {thread.name for thread in set(threading.enumerate()) - before}
