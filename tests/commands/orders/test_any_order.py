"""Orders drawn at random, to a daemon that is killed now and then: all arrives, once.

`SOAK=1` runs it; which order comes in the middle of what is left to chance.
"""

import os
import random
import signal
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from commands.orders.test_daemon import ASSETS, CHUNK_BYTES, drop
from deriva_watch.core.orders.orders import Cancel, Pause, Resume, Retry
from deriva_watch.edges.host.spool import Orders
from running import Api, daemon, sandbox, summed_up, wait_until, write_config
from system.difference import ASSET, LINK, new_rows

SOAK = os.environ.get("SOAK")
SEEDS = range(20)
KILLED = 0.1  # after an order
WHO = {"by": "alice"}


def an_order(rng, rids):
    """Return an order about one of the executions, a file of it, or everything."""
    now = datetime.now(UTC)
    rid, paths = rng.choice(rids), (f"{ASSETS}/file-{rng.randrange(5)}.bin",)
    until = (now + timedelta(seconds=rng.uniform(0, 2))).isoformat()
    return rng.choice(
        [
            Cancel(rid=rid, at=now.isoformat(), **WHO),
            Cancel(rid=rid, paths=paths, at=now.isoformat(), **WHO),
            Retry(rid=rid, **WHO),
            Retry(rid=rid, paths=paths, **WHO),
            Retry(rid=None, **WHO),
            Pause(rid=rid, at=now.isoformat(), until=rng.choice([None, until]), **WHO),
            Pause(rid=None, at=now.isoformat(), until=until, **WHO),
            Resume(rid=rid, **WHO),
            Resume(rid=None, **WHO),
        ]
    )


def all_let_go(orders, rids):
    """Leave what ends every hold."""
    paths = tuple(f"{ASSETS}/file-{number}.bin" for number in range(5))
    for order in (
        Resume(rid=None, **WHO),
        *(Resume(rid=rid, **WHO) for rid in rids),
        *(Retry(rid=rid, **WHO) for rid in rids),
        *(Retry(rid=rid, paths=paths, **WHO) for rid in rids),
    ):
        orders.leave(order)


@pytest.mark.skipif(not SOAK, reason="takes half a minute a seed")
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_ordered_in_whatever_order_all_arrives_once(tmp_path, seed):
    rng = random.Random(seed)
    with sandbox(tmp_path / "server", latency_ms=15) as ready, ExitStack() as running:
        api = Api(ready)
        rids = [api.execution() for _ in range(3)]
        before = api.tables()
        config = write_config(
            tmp_path / "daemon", ready, tmp_path, transfer={"chunk_bytes": CHUNK_BYTES}
        )
        orders = Orders(config.parent / "state/orders")
        for rid in rids:
            sizes = [rng.randrange(1, 8 * CHUNK_BYTES) for _ in range(5)]
            files = {f"file-{n}.bin": rng.randbytes(size) for n, size in enumerate(sizes)}
            drop(tmp_path, rid, files)
        one = running.enter_context(daemon(config))
        for _ in range(40):
            orders.leave(an_order(rng, rids))
            time.sleep(rng.choice([0, 0, 0.2, 0.6]))
            if rng.random() < KILLED:
                one.stop(signal.SIGKILL)
                one = running.enter_context(daemon(config))
        wait_until(lambda: not orders.are_there())
        all_let_go(orders, rids)

        def is_in():
            return summed_up(config)["executions"]["uploaded"] == len(rids)

        wait_until(is_in, 60)
        assert not [event for event in one.events() if event["event"] == "daemon.crashed"]
        after = api.tables()
        new = new_rows(before, after)
        assert {table: len(rows) for table, rows in new.items()} == {ASSET: 15, LINK: 15}
        assert {api.status(rid) for rid in rids} == {"Uploaded"}
        urls = sorted(row["URL"] for row in new[ASSET])
        assert sorted(url for each in api.versions().values() for url in each) == urls
