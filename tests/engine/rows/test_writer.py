"""The one writer of a catalog: many callers, few requests, each row answered for by itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from deriva_watch.core.errors import (
    InterruptedWorkError,
    RefusedError,
    ServerAwayError,
    TransientError,
)
from deriva_watch.core.model import TableName
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.deriva import Server
from deriva_watch.engine.rows import insertion
from deriva_watch.engine.rows.insertion import Insertion
from engine.rig import LEASE, SUBJECT, Crash, instead, unheard
from running import credential, requests_seen, wait_until

OBSERVATION = TableName("demo", "Observation")
CLIENT = TableName("public", "ERMrest_Client")


def subject(name, **more):
    return Insertion(SUBJECT, {"Name": name} | more, ("Name",))


def leased(rid, name, *, is_new=False):
    row = {"RID": rid, "Name": name}
    return Insertion(SUBJECT, row, ("Name",), given_rid=True, is_new=is_new)


def observation(date, of="1-S001"):
    return Insertion(OBSERVATION, {"Subject": of, "Observation_Date": date}, ("Observation_Date",))


def leases(rig, names):
    return [row["RID"] for row in rig.catalog.insert(LEASE, [{"ID": name} for name in names])]


@contextmanager
def posts_of(lab):
    """Yield a list that has the INSERTs' statuses once the block has ended."""
    found, before = [], len(requests_seen(lab.ready))
    yield found
    later = requests_seen(lab.ready)[before:]
    found += [r["status"] for r in later if r["method"] == "POST" and "/entity/" in r["path"]]


@contextmanager
def queued(rig, count):
    """Hold the writer until *count* callers wait for it; the block starts them."""
    held, go = threading.Event(), threading.Event()

    def hold():
        held.set()
        return go.wait()

    with ThreadPoolExecutor(1) as holder:
        holding = holder.submit(rig.writer.run, hold)
        try:
            assert held.wait(10)
            yield
            wait_until(lambda: rig.writer._queue.qsize() == count)
        finally:
            go.set()
        assert holding.result(10)


# ---------------------------------------------------------------- many callers, few requests


def test_callers_at_once_share_a_request(lab, fresh):
    names = [[fresh() for _ in range(10)] for _ in range(20)]

    with (
        lab.rigged() as rig,
        posts_of(lab) as posts,
        ThreadPoolExecutor(len(names)) as callers,
        queued(rig, len(names)),
    ):
        answers = callers.map(rig.writer.insert, [[subject(n) for n in some] for some in names])

    assert posts == [200]
    for some, answer in zip(names, answers, strict=True):
        assert [written.row["Name"] for written in answer] == some
        assert all(written.inserted for written in answer)


def test_a_request_has_at_most_a_thousand_rows(lab, fresh):
    names = [fresh() for _ in range(2100)]

    with lab.rigged() as rig, posts_of(lab) as posts:
        answer = rig.writer.insert([subject(name) for name in names])

    assert posts == [200] * 3
    assert [written.row["Name"] for written in answer] == names


def test_long_rows_go_in_smaller_requests(lab, fresh, monkeypatch):
    """A row that is longer than a request should be goes alone."""
    monkeypatch.setattr(insertion, "BATCH_BYTES", 2500)  # no server takes texts of 100,000 bytes
    lengths = [1000, 1000, 1000, 3000, 10, 10]  # 2, 1, 1 and 2 rows
    names = [fresh() + "x" * length for length in lengths]

    with lab.rigged() as rig, posts_of(lab) as posts:
        answer = rig.writer.insert([subject(name) for name in names])

    assert posts == [200] * 4
    assert [written.row["Name"] for written in answer] == names


def test_no_rows_need_no_request(lab):
    with lab.rigged() as rig, posts_of(lab) as posts:
        assert rig.writer.insert([]) == []

    assert posts == []


def test_rows_with_one_key_never_stand_in_one_request(lab, fresh):
    """It would be refused as a whole."""
    one, other = fresh(), fresh()

    with lab.rigged() as rig, posts_of(lab) as posts:
        answer = rig.writer.insert([subject(one), subject(other), subject(one), subject(one)])

    assert posts == [200] * 3
    assert [written.inserted for written in answer] == [True, True, False, False]
    assert answer[0].row == answer[2].row == answer[3].row


# ---------------------------------------------------------------- rows that are refused


def test_a_bad_row_is_refused_alone(lab, fresh):
    dates = [f"1{number:03}-01-01" for number in range(40)]
    rows = [observation(date, fresh() if date in dates[7:9] else "1-S001") for date in dates]

    with lab.rigged() as rig, posts_of(lab) as posts:
        answer = rig.writer.insert(rows)
        there = rig.catalog.rows_with(OBSERVATION, "Observation_Date", dates)

    assert [number for number, written in enumerate(answer) if written.error] == [7, 8]
    assert "is not present in table" in answer[7].error.why
    assert len(there) == len(dates) - 2
    assert len(posts) < 20


def test_what_is_refused_for_all_rows_is_asked_once(lab, fresh):
    rows = [Insertion(CLIENT, {"ID": fresh(), "Client_Object": {}}, ("ID",)) for _ in range(40)]

    with lab.rigged("writer") as rig, posts_of(lab) as posts:
        answer = rig.writer.insert(rows)

    assert posts == [403]
    assert {written.error.status for written in answer} == {403}


def test_rows_are_sent_while_their_caller_does_something_else(lab, fresh):
    name, other = fresh(), fresh()
    with lab.rigged() as rig, queued(rig, 2):
        first = rig.writer.submit([subject(name), subject(other)])
        second = rig.writer.submit([subject(name)])
        assert not first.done()

    assert [written.inserted for written in first.result(10)] == [True, True]
    [again] = second.result(10)
    assert (again.row["Name"], again.inserted) == (name, False)


# ---------------------------------------------------------------- RIDs that are given


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_given_rids_are_kept(lab, fresh, who):
    names = [fresh() for _ in range(3)]

    with lab.rigged(who) as rig:
        rids = leases(rig, names)
        answer = rig.writer.insert([*map(leased, rids, names), subject(fresh())])

    assert [written.row["RID"] for written in answer[:3]] == rids
    assert all(written.inserted for written in answer)


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_rows_whose_answer_was_lost_are_found_by_their_rids(lab, fresh, who):
    """Only those that are not there yet are sent: to send one again refuses its whole request."""
    names = [fresh() for _ in range(4)]

    with lab.rigged(who) as rig:
        rids = leases(rig, names)
        rig.writer.insert([leased(rids[0], names[0]), leased(rids[2], names[2])])
        with posts_of(lab) as posts:
            answer = rig.writer.insert([*map(leased, rids, names)])

    assert posts == [200]
    assert [written.row["RID"] for written in answer] == rids
    assert [written.inserted for written in answer] == [False, True, False, True]


@pytest.mark.parametrize("count", [1, 5])
def test_rows_that_went_in_behind_an_error_are_not_refused(lab, fresh, count):
    """A gateway that gives up waiting says 504; the leases are used up all the same."""
    names = [fresh() for _ in range(count)]

    with lab.rigged("writer") as rig:
        rids = leases(rig, names)
        rig.catalog.then["insert"] = [unheard(TransientError("cannot insert", "504"))]
        answer = rig.writer.insert([*map(leased, rids, names)])

    assert [written.row and written.row["RID"] for written in answer] == rids
    assert not any(written.error for written in answer)


def new(rid, name):
    """Return a row whose RID was leased a moment ago."""
    return leased(rid, name, is_new=True)


def test_new_rids_are_not_looked_up(lab, fresh):
    names = [fresh() for _ in range(3)]

    with lab.rigged("writer") as rig:
        rids = leases(rig, names)
        before = len(requests_seen(lab.ready))
        answer = rig.writer.insert([*map(new, rids, names)])

    assert [request["method"] for request in requests_seen(lab.ready)[before:]] == ["POST"]
    assert [written.row["RID"] for written in answer if written.inserted] == rids


def test_new_rids_are_looked_up_once_an_answer_is_lost(lab, fresh):
    names = [fresh() for _ in range(3)]

    with lab.rigged("writer") as rig, posts_of(lab) as posts:
        rids = leases(rig, names)
        rig.catalog.then["insert"] = [unheard(TransientError("cannot insert", "504"))]
        answer = rig.writer.insert([*map(new, rids, names)])

    assert posts == [200, 200]  # the leases, and the rows once
    assert [written.row["RID"] for written in answer] == rids


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_new_rids_that_another_uploader_has_used_are_found(lab, fresh, who):
    names = [fresh() for _ in range(4)]

    with lab.rigged(who) as rig:
        rids = leases(rig, names)
        rig.writer.insert([leased(rids[0], names[0]), leased(rids[2], names[2])])
        answer = rig.writer.insert([*map(new, rids, names)])

    assert [written.row["RID"] for written in answer] == rids
    assert [written.inserted for written in answer] == [False, True, False, True]


def test_a_rid_that_is_not_ours_is_refused_alone(lab, fresh):
    names = [fresh() for _ in range(4)]

    with lab.rigged() as owner, lab.another().rigged("writer") as rig:
        rids = leases(rig, names[:3]) + leases(owner, names[3:])
        answer = rig.writer.insert([*map(leased, rids, names)])

    assert [written.row and written.row["RID"] for written in answer] == [*rids[:3], None]
    assert answer[3].error.status == 403


# ---------------------------------------------------------------- what passes, and what does not


def test_a_foreign_writer_is_ridden_out(lab, fresh):
    """Who writes to the same catalog at once aborts our transactions, and we theirs.

    Where all short retries were unlucky, the next attempt at the unit inserts the rows.
    """
    done = threading.Event()

    def write_too():
        with Server(lab.ready["host"], credential(lab.ready), protocol="http") as server:
            catalog = Ermrest(server, lab.ready["catalog"])
            while not done.wait(0.01):
                with suppress(TransientError):
                    catalog.insert(SUBJECT, [{"Name": fresh()} for _ in range(50)])

    def inserted(rig, rows):
        with suppress(TransientError):
            return rig.writer.insert(rows)

    with lab.rigged() as rig, ThreadPoolExecutor(1) as foreign:
        foreign.submit(write_too)
        try:
            parts = [[subject(fresh()) for _ in range(20)] for _ in range(40)]
            answers = [wait_until(partial(inserted, rig, part)) for part in parts]
        finally:
            done.set()

    assert all(written.inserted for answer in answers for written in answer)
    assert rig.told("call.retried")


def test_a_server_that_is_away_is_told_to_all_who_wait_and_work_goes_on_later(lab, fresh):
    away = ServerAwayError("cannot insert", "it does not answer")

    with lab.rigged() as rig, ThreadPoolExecutor(3) as callers:
        rig.catalog.then["insert"] = [instead(away)]
        with queued(rig, 3):
            answers = [callers.submit(rig.writer.insert, [subject(fresh())]) for _ in range(3)]

        assert [answer.exception(10) for answer in answers] == [away] * 3
        assert rig.writer.insert([subject(fresh())])[0].inserted


def test_a_row_that_cannot_be_sent_is_its_callers_fault(lab, fresh):
    """Nobody else hears of it, and nobody waits for ever."""
    bad = [subject(fresh(), Number=1j), subject(["no", "text"]), Insertion(SUBJECT, {}, ("Name",))]

    with lab.rigged() as rig:
        for item in bad:
            with pytest.raises((TypeError, KeyError)):
                rig.writer.insert([item])

        assert rig.writer.insert([subject(fresh())])[0].inserted


def test_a_bug_in_one_callers_choice_is_told_to_no_other(lab, fresh):
    def asset(adopt):
        row = {"Filename": "f", "Length": 1, "MD5": fresh(), "URL": fresh(), "Subject": "1-S001"}
        return Insertion(TableName("demo", "Image"), row, ("URL",), adopt=adopt)

    def stumble(_):
        raise ZeroDivisionError

    with lab.rigged() as rig, ThreadPoolExecutor(2) as callers:
        with queued(rig, 2):
            good = callers.submit(rig.writer.insert, [asset(lambda _: None)])
            bad = callers.submit(rig.writer.insert, [asset(stumble)])

        assert isinstance(bad.exception(10), ZeroDivisionError)
        assert good.result(10)[0].inserted


@pytest.mark.parametrize("error", [RefusedError("w", "y", "n"), ZeroDivisionError(), Crash()])
def test_other_calls_return_or_raise_to_who_asked(lab, fresh, error):
    def stumble():
        raise error

    with lab.rigged() as rig:
        assert rig.writer.run(lambda: 7) == 7
        with pytest.raises(type(error)):
            rig.writer.run(stumble)

        assert rig.writer.insert([subject(fresh())])[0].inserted


def test_nothing_that_an_insert_raises_ends_the_writer(lab, fresh):
    with lab.rigged() as rig:
        rig.catalog.then["insert"] = [instead(Crash())]
        with pytest.raises(Crash):
            rig.writer.insert([subject(fresh())])

        assert rig.writer.insert([subject(fresh())])[0].inserted


# ---------------------------------------------------------------- the end


def test_the_stop_event_ends_the_wait_for_a_better_moment(lab, fresh):
    busy = instead(TransientError("cannot insert", "busy", retry_after_s=0.1))

    with lab.rigged() as rig, ThreadPoolExecutor(1) as caller:
        rig.catalog.then["insert"] = [busy] * 1000
        answer = caller.submit(rig.writer.insert, [subject(fresh())])
        wait_until(lambda: rig.told("call.retried"))
        rig.stop.set()

        assert isinstance(answer.exception(5), InterruptedWorkError)


def test_what_is_queued_is_done_before_the_end_and_nothing_after_it(lab, fresh):
    with lab.rigged() as rig, ThreadPoolExecutor(3) as callers:
        with queued(rig, 3):
            answers = [callers.submit(rig.writer.insert, [subject(fresh())]) for _ in range(2)]
            wait_until(lambda: rig.writer._queue.qsize() == 2)
            closing = callers.submit(rig.writer.close)

        closing.result(5)
        assert all(answer.result(5)[0].inserted for answer in answers)
        assert not rig.writer._thread.is_alive()
        for late in (lambda: rig.writer.insert([subject("late")]), lambda: rig.writer.run(int)):
            with pytest.raises(InterruptedWorkError):
                late()
        rig.writer.close()
