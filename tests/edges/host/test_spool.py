"""The folder that orders lie in."""

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deriva_watch.core.orders.orders import Order, Retry
from deriva_watch.edges.host.spool import Orders

RETRY = Retry(rid="1-AAAA", by="alice")


@pytest.fixture
def orders(tmp_path):
    return Orders(tmp_path / "orders")


def taken(orders, *kinds):
    """Return the orders that lie there, and the events; what is taken is removed."""
    events, found = [], []
    for pending in orders.pending(events.append, *(kinds or (Order,))):
        found.append(pending.order)
        pending.remove()
    return found, events


def test_orders_are_taken_in_the_order_in_which_they_were_given(orders):
    given = [Retry(rid=f"1-{number}", by="alice") for number in range(20)]
    for order in given:
        orders.leave(order)

    assert taken(orders) == (given, [])
    assert taken(orders) == ([], [])


def test_two_who_look_for_their_first_orders_at_once_make_one_folder(tmp_path):
    """The daemon has a thread that takes orders and one that reclaims."""
    takers, at_once = 8, threading.Barrier(8)

    def look(folder):
        at_once.wait()
        return taken(Orders(folder))

    with ThreadPoolExecutor(takers) as threads:
        for number in range(50):
            found = list(threads.map(look, [tmp_path / f"orders-{number}"] * takers))

            assert found == [([], [])] * takers


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_away_the_order_and_never_what_is_put_in_its_place(orders, monkeypatch):
    """The folder belongs to another user, who may put a link in the place of any file in it."""
    secret = orders.folder.parent / "secret"
    secret.touch(mode=0o600)
    os.chown(orders.folder.parent, 65534, 65534)

    def exchange(_descriptor):
        (new,) = orders.folder.glob("*.new")
        new.unlink()
        new.symlink_to(secret)

    monkeypatch.setattr(os, "fsync", exchange)
    orders.leave(RETRY)

    assert secret.stat().st_uid == 0
    assert orders.folder.stat().st_uid == 65534


def test_an_order_stays_until_its_taker_says_that_it_is_carried_out(orders):
    orders.leave(RETRY)

    for _ in range(2):
        assert [pending.order for pending in orders.pending(print, Retry)] == [RETRY]


def test_nobody_takes_an_order_of_a_kind_that_is_another_s(orders):
    class Other(Order):
        pass

    orders.leave(RETRY)

    assert taken(orders, Other) == ([], [])
    assert taken(orders, Retry) == ([RETRY], [])


def test_only_the_daemon_s_user_can_read_or_leave_orders(orders):
    orders.leave(RETRY)

    [path] = orders.folder.iterdir()
    assert stat.S_IMODE(orders.folder.stat().st_mode) == 0o700
    assert not stat.S_IMODE(path.stat().st_mode) & 0o022


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value"),
        (b"\xff", "it is not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"kind": "fly", "by": "alice"}', "this release has no order 'fly'"),
    ],
)
def test_what_is_no_order_is_set_aside_and_told_and_holds_up_no_other(orders, content, why):
    orders.leave(RETRY)
    (orders.folder / "0.json").write_bytes(content)

    found, [event] = taken(orders)

    assert found == [RETRY]
    assert event.path == str(orders.folder / "0.set-aside")
    assert why in event.why
    trouble = orders.trouble()
    assert why in trouble.why
    assert event.path in trouble.next
    (orders.folder / "0.set-aside").unlink()
    assert orders.trouble() is None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_set_aside_without_reading_it(orders, make):
    orders.leave(RETRY)
    make(orders.folder / "0.json")

    found, events = taken(orders)

    assert found == [RETRY]
    assert len(events) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_order_of_another_user_is_none(orders):
    orders.leave(RETRY)
    path = orders.folder / "0.json"
    path.write_text(json.dumps(RETRY.document()))
    os.chown(path, 12345, 12345)

    found, [event] = taken(orders)

    assert found == [RETRY]
    assert event.why == "it belongs to user 12345"
