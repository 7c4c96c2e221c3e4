"""The stages of an upload overlap, and what must not overlap does not."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from deriva_watch.core.errors import ServerAwayError
from deriva_watch.engine import uploader
from engine.rig import ASSET, Crash, Power, first, instead
from running import wait_until

AWAY = ServerAwayError("cannot store", "it does not answer")


def names(count):
    return [f"execution-asset/Model_File/{number:03}.bin" for number in range(count)]


@pytest.fixture
def small_pages(monkeypatch):
    """Pages of two files."""
    monkeypatch.setattr(uploader, "PAGE_FILES", 2)


def write(lab, count):
    lab.write({name: f"{name} {lab.rid}" for name in names(count)})


@pytest.mark.usefixtures("small_pages")
def test_a_page_is_sent_while_the_next_is_hashed_and_the_last_is_recorded(lab):
    """While the first rows wait for the catalog, files behind them are hashed and stored."""
    write(lab, 10)

    def later_files_are_stored(*_):
        wait_until(lambda: lab.states()[names(10)[3]] == "stored")
        wait_until(lambda: lab.states()[names(10)[7]] == "hashed")

    with lab.rigged() as rig:
        rig.catalog.then["insert"] = [first(later_files_are_stored)]
        assert rig.upload().state == "uploaded"


def test_the_url_of_an_object_is_in_the_journal_before_its_row_is_sent(lab):
    write(lab, 5)
    seen = []

    def look(table, *_):
        if table == ASSET:
            seen.extend((file.state, bool(file.url)) for file in lab.files().values())

    with lab.rigged() as rig:
        rig.catalog.then["insert"] = [first(look)]
        assert rig.upload().state == "uploaded"

    assert seen == [("stored", True)] * 5


@pytest.mark.usefixtures("small_pages")
def test_an_error_of_one_stage_ends_all_of_them_and_nothing_is_lost(lab):
    write(lab, 12)
    with lab.rigged() as rig:
        before = threading.active_count()
        rig.catalog.then["insert"] = [instead(AWAY)]
        assert rig.upload().state == "waiting"
        wait_until(lambda: threading.active_count() <= before + 8)  # those of the pools stay
        assert rig.upload().state == "uploaded"

    rows = [row for row in lab.api.rows(str(ASSET)) if lab.rid in content(lab, row)]
    assert len(rows) == 12


def content(lab, row):
    return lab.api.content(row["URL"]).decode()


@pytest.mark.usefixtures("small_pages")
def test_equal_files_on_several_pages_become_one_object_and_one_row(lab, fresh):
    same = fresh()
    paths = [f"execution-asset/{kind}/same.bin" for kind in ("Model_File", "Output_File")]
    others = {name: f"{name} {lab.rid}" for name in names(6)}
    lab.write({paths[0]: same, **others, paths[1]: same})

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"

    md5 = hashlib.md5(same.encode()).hexdigest()
    assert len([row for row in lab.api.rows(str(ASSET)) if row["MD5"] == md5]) == 1
    assert len({lab.files()[path].url for path in paths}) == 1


def test_a_small_execution_is_not_held_up_by_a_large_one(lab, fresh):
    """All connections send chunks of a large file; the small one is through before they end."""
    large, small = lab, lab.beside()
    large.write({"execution-asset/Model_File/large.bin": f"{lab.rid:*<9500}"})
    small.write({"execution-asset/Model_File/small.bin": fresh()})
    is_through = threading.Event()

    with large.rigged() as rig, ThreadPoolExecutor(2) as workers:
        rig.store.then["put_chunk"] = [first(lambda *_: is_through.wait(60))] * 10
        slow = workers.submit(rig.upload, large.rid)
        wait_until(lambda: rig.power.names.count("store.put_chunk") == 4)
        assert workers.submit(rig.upload, small.rid).result(60).state == "uploaded"
        assert not slow.done()
        is_through.set()
        assert slow.result(60).state == "uploaded"


# ---------------------------------------------------------------- one file, several connections

BIG = "execution-asset/Model_File/big.bin"


@pytest.fixture
def big(lab):
    text = f"{lab.rid:*<9500}"
    lab.write({BIG: text})
    return text.encode()


def chunks(rig):
    return [call.arguments[1] for call in rig.power.calls("store.put_chunk")]


def test_the_chunks_of_one_file_use_several_connections(lab, big):
    together = threading.Barrier(4, timeout=60)
    with lab.rigged() as rig:
        rig.store.then["put_chunk"] = [first(lambda *_: together.wait())] * 4
        assert rig.upload().state == "uploaded"

    assert sorted(chunks(rig)) == list(range(10))
    assert lab.api.content(lab.files()[BIG].url) == big


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [0, 3, 9])
def test_no_chunk_that_was_acknowledged_is_sent_again(lab, big, number, after):
    with lab.rigged(power=Power("store.put_chunk", number, after=after)) as rig, suppress(Crash):
        rig.upload()
    acknowledged = set(lab.files()[BIG].job["chunks"])

    with lab.rigged() as rig:
        assert rig.bring().state == "uploaded"

    assert acknowledged.isdisjoint(chunks(rig))
    assert sorted(acknowledged | set(chunks(rig))) == list(range(10))
    assert lab.api.content(lab.files()[BIG].url) == big


def test_a_chunk_that_fails_stops_the_others_and_keeps_what_is_acknowledged(lab, big):
    with lab.rigged() as rig:
        rig.store.then["put_chunk"] = [lambda call, *_: call()] * 4 + [instead(AWAY)]
        assert rig.upload().state == "waiting"
        acknowledged = set(lab.files()[BIG].job["chunks"])
        assert rig.upload().state == "uploaded"

    assert len(acknowledged) >= 4
    assert sorted(chunks(rig)) == list(range(10))
    assert lab.api.content(lab.files()[BIG].url) == big


def test_a_file_that_grows_smaller_while_others_help_starts_over(lab, big):
    path = lab.folder / "data/deriva-ml/execution" / lab.rid / BIG
    with lab.rigged() as rig:
        rig.store.then["put_chunk"] = [first(lambda *_: path.write_bytes(big[:3000]))]
        assert rig.upload().state == "filling"
        assert rig.upload().state == "uploaded"

    assert lab.api.content(lab.files()[BIG].url) == big[:3000]
