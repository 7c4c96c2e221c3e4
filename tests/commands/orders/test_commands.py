"""What the commands that give orders say, and what they leave, without a daemon."""

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from deriva_watch.cli import main
from deriva_watch.commands.orders import hold, retry
from deriva_watch.commands.orders.apply import apply_orders
from deriva_watch.core.changes import AddFile, MoveExecution, MoveFile
from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.orders.orders import Cancel, Pause, Resume, Retry
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.edges.host.spool import Orders
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.hold_cache import HoldCache
from deriva_watch.status import open_views, summary
from running import write_config, write_files

TRIGGER = ExecutionTrigger
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
AT = NOW.isoformat()
CANCELLED, PAUSED = (Hold(kind, "alice", NOW, "why not") for kind in HoldKind)
READY, UPLOADED = [TRIGGER.COMPLETED], [TRIGGER.COMPLETED, TRIGGER.CLAIMED, TRIGGER.FINISHED]


@pytest.fixture
def config(tmp_path):
    host = {"host": "127.0.0.1:1", "catalog": "1", "owner_credential_file": tmp_path / "none"}
    (tmp_path / "daemon/state").mkdir(parents=True)
    return write_config(tmp_path / "daemon", host, tmp_path)


@pytest.fixture
def journal(config):
    with Journal.open(url(config), emit=lambda _: None) as journal:
        yield journal


@pytest.fixture
def tell(config, capfd, monkeypatch):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["deriva-watch", *words, "--config", str(config)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(status=int(ended.value.code), out=out, err=err)

    return run


def url(config):
    return f"sqlite:///{config.parent}/state/journal.db"


def execution(journal, rid, roads=()):
    number = journal.open_execution("example.org/1", "/data", rid).id
    journal.commit([MoveExecution(number, trigger) for trigger in roads])
    return number


def left(config):
    """Return the orders that were left."""
    orders = Orders(config.parent / "state/orders")
    return [pending.order for pending in orders.pending(print, Retry, Cancel, Pause, Resume)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["cancel", "1-AAAB"], ("no such execution", "Is it 1-AAAA? ")),
        (["retry", "1-AAAB"], ("no such execution", "Is it 1-AAAA? ")),
        (["pause", "nothing like it"], ("no such execution", "`deriva-watch status` ")),
        (["cancel", "1-AAAA", "assets/big.bim"], ("no such file", "Is it assets/big.bin")),
        (["retry", "1-AAAA", "assets/big.bim"], ("no such file", "Is it assets/big.bin")),
        (["retry", "1-AAAA", "assets/big.bin"], ("it is hashed, not refused", "tries all of it")),
        (["cancel", "1-AAAA", "assets/in.bin"], ("it is recorded: nothing is", "show 1-AAAA")),
        (["cancel", "1-DONE"], ("it is uploaded", "show 1-DONE")),
        (["pause", "1-DONE"], ("it is uploaded", "show 1-DONE")),
        (["pause", "1-NONO"], ("it is cancelled by alice", "show 1-NONO")),
        (["resume", "1-NONO"], ("it is not paused; it is cancelled by alice", "show 1-NONO")),
        (["resume", "1-AAAA"], ("it is not paused; it is ready", "show 1-AAAA")),
        (["retry", "1-HELD"], ("it is paused by alice: why not", "`deriva-watch resume 1-HELD`")),
        (["resume"], ("they are not paused", "`deriva-watch status`")),
        (["pause", "--for", "soon"], ("not a duration, or longer than ten years", "--for 2h")),
        (["pause", "--for", "0s"], ("not a duration, or longer than ten years", "--for 2h")),
        (["pause", "--for", "99999d"], ("not a duration, or longer than ten years", "--for 2h")),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, list) else "",
)
def test_what_an_order_cannot_mean_is_told_and_not_left(config, journal, tell, words, error):
    number = execution(journal, "1-AAAA", READY)
    files = [AddFile(number, f"assets/{name}.bin", {}) for name in ("big", "in")]
    big, there = journal.commit(files)
    hashed = [MoveFile(each, FileTrigger.HASHED) for each in (big, there)]
    journal.commit([*hashed, MoveFile(there, FileTrigger.RECORDED)])
    execution(journal, "1-DONE", UPLOADED)
    journal.hold(execution(journal, "1-NONO"), CANCELLED)
    journal.hold(execution(journal, "1-HELD", READY), PAUSED)

    told = tell(*words, "--json")

    said = json.loads(told.out)["error"]
    assert told.status == 2
    assert error[0] in said["why"]
    assert error[1] in said["next"]
    assert left(config) == []


def test_what_was_ordered_is_told_with_who_why_and_when(config, journal, tell):
    execution(journal, "1-AAAA", READY)
    journal.close()  # no daemon runs

    cancel = tell("cancel", "1-AAAA", "--reason", "wrong samples", "--json")
    text = tell("pause", "--for", "2h")

    document = json.loads(cancel.out)
    assert document["ordered"] == "cancel"
    assert document["executions"] == ["1-AAAA"]
    assert document["reason"] == "wrong samples"
    assert (document["daemon"], document["when"]) == (None, "with the next run or upload")
    assert text.out.startswith("Uploads paused until ")
    assert "No daemon is running: the next `deriva-watch run` does this." in text.out
    first, second = left(config)
    assert (first.rid, first.reason, first.by) == ("1-AAAA", "wrong samples", document["by"])
    assert (second.hold().until - second.hold().since).total_seconds() == pytest.approx(7200, abs=9)


def test_what_orders_before_it_make_possible_may_be_ordered(config, journal, tell):
    """Nobody knows yet where an execution is once they are carried out."""
    execution(journal, "1-AAAA", READY)
    journal.close()

    for words in (["pause", "1-AAAA"], ["resume", "1-AAAA"], ["cancel", "1-AAAA"]):
        assert tell(*words).status == 0
    assert tell("retry", "1-AAAA").status == 0
    assert [order.KIND for order in left(config)] == ["pause", "resume", "cancel", "retry"]


def test_a_file_that_only_the_disk_knows_can_be_cancelled(tmp_path, config, tell):
    write_files(tmp_path / "deriva-ml/execution/1-AAAA", {"assets/Thing/new.bin": "new"})
    with Journal.open(url(config), emit=lambda _: None) as journal:
        journal.open_execution("example.org/1", str(tmp_path), "1-AAAA")

    assert tell("cancel", "1-AAAA", "assets/Thing/new.bin").status == 0
    assert [order.paths for order in left(config)] == [("assets/Thing/new.bin",)]


@pytest.mark.parametrize(
    "order",
    [
        Retry(rid="1-NONO", by="bob"),
        Retry(rid="1-NONO", paths=("a.bin",), by="bob"),
        Cancel(rid="1-AAAA", by="bob", at=AT),
        Cancel(rid="1-AAAA", paths=("a.bin", "b.bin"), by="bob", at=AT),
        Pause(rid="1-AAAA", by="bob", at=AT),
        Pause(rid=None, by="bob", at=AT),
        Resume(rid="1-HELD", by="bob"),
        Resume(rid=None, by="bob"),
    ],
    ids=lambda order: f"{order.KIND}-{order.rid}-{len(getattr(order, 'paths', ()))}",
)
def test_an_order_that_is_carried_out_twice_is_carried_out_once(journal, order):
    """The daemon was killed before it could forget it."""
    number = execution(journal, "1-AAAA", READY)
    journal.commit([AddFile(number, "a.bin", {})])
    held = execution(journal, "1-NONO")
    journal.hold_file(held, "a.bin", CANCELLED)
    journal.hold(held, CANCELLED)
    journal.hold(execution(journal, "1-HELD", READY), PAUSED)
    journal.pause(PAUSED)
    carry_out = retry.carry_out if isinstance(order, Retry) else hold.carry_out

    def stand():
        records = journal.executions()
        files = [(f.path, f.state, f.held) for r in records for f in journal.files(r.id)]
        return (
            [(r.rid, r.state, r.held, r.why, r.next_at) for r in records],
            files,
            journal.paused(),
        )

    before = stand()
    carry_out(order, journal)
    once = stand()
    carry_out(order, journal)

    assert once != before
    assert stand() == once


def test_the_first_line_of_status_says_that_work_is_paused(config, journal):
    journal.hold(execution(journal, "1-AAAA", READY), PAUSED)
    view = summary(open_views(url(config)), NOW)
    assert view["verdict"]["text"] == "1 execution is paused"

    journal.pause(PAUSED)
    view = summary(open_views(url(config)), NOW)
    assert view["verdict"] == {
        "level": "person",
        "text": "all uploads are paused by alice since 2026-03-01 12:00:00 UTC: why not",
        "next": "deriva-watch resume",
    }
    assert [(each["about"], each["by"], each["why"]) for each in view["paused"]] == [
        ("host", "alice", "why not"),
        ("1-AAAA", "alice", "why not"),
    ]


def test_an_order_that_cannot_be_carried_out_is_set_aside_and_does_not_come_back(tmp_path, journal):
    """No file system has such a name: that it was ordered all the same must not end the daemon."""
    execution(journal, "1-AAAA", READY)
    orders, events = Orders(tmp_path / "orders"), []
    orders.leave(Cancel(rid="1-AAAA", paths=("\ud800",), by="alice", at=AT))
    orders.leave(Pause(rid="1-AAAA", by="alice", at=AT))

    applied = apply_orders(orders, journal, HoldCache(journal), events.append)
    moved = [record.rid for record in applied]

    assert moved == ["1-AAAA"]
    names = [event.name for event in events]
    assert names == ["daemon.crashed", "order.refused", "order.applied"]
    assert not orders.are_there()
    assert "it could not be carried out; see the log" in orders.trouble().why
