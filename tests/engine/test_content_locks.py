"""Two who bring in the same content at the same time make one object and one row of it."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deriva_watch.core.errors import ServerAwayError
from deriva_watch.engine.content_locks import ContentLocks
from engine.rig import ASSET, first, instead
from running import wait_until

PATH = "execution-asset/Model_File/a.bin"


@pytest.fixture
def both(lab, fresh):
    """Two executions with one journal and the same file."""
    other, content = lab.beside(), fresh()
    lab.write({PATH: content})
    other.write({PATH: content})
    return lab, other


def rows_and_versions(lab):
    """Return the rows of the file's content and the versions of its object."""
    md5 = lab.files()[PATH].md5
    rows = [row for row in lab.api.rows(str(ASSET)) if row["MD5"] == md5]
    name = f"{lab.api.url}/hatrac/Execution_Asset/{md5}.a.bin"
    return rows, lab.api.call("GET", f"{name};versions").json()


def links(lab, rid):
    """Return the executions that a row is linked to."""
    rows = lab.api.rows(f"{ASSET}_Execution")
    return sorted(row["Execution"] for row in rows if row["Execution_Asset"] == rid)


def is_waiting(lab):
    """Say whether the file waits to be sent."""
    return lab.states() == {PATH: "hashed"}


def test_the_second_waits_for_the_first_and_takes_its_row(both):
    one, other = both

    with one.rigged() as rig, ThreadPoolExecutor(2) as workers:
        # Nobody gets on until both have read their file.
        meet = first(lambda *_: wait_until(lambda: is_waiting(one) and is_waiting(other)))
        rig.store.then["put"] = [meet]
        records = list(workers.map(rig.upload, [one.rid, other.rid]))

    [row], [version] = rows_and_versions(one)
    assert [record.state for record in records] == ["uploaded"] * 2
    assert rig.power.names.count("store.put") == 1
    assert row["URL"] == version
    assert links(one, row["RID"]) == sorted([one.rid, other.rid])
    assert {one.files()[PATH].adopted, other.files()[PATH].adopted} == {False, True}


def test_the_second_goes_ahead_where_the_first_gave_up(both):
    one, other = both

    with one.rigged() as rig, ThreadPoolExecutor(2) as workers:
        away = ServerAwayError("cannot store", "it does not answer")
        meet = first(lambda *_: wait_until(lambda: is_waiting(one) and is_waiting(other)))
        rig.store.then["make_namespace"] = [meet]
        rig.store.then["put"] = [instead(away)]
        records = list(workers.map(rig.upload, [one.rid, other.rid]))

    assert {record.state.value for record in records} == {"waiting", "uploaded"}
    rows, versions = rows_and_versions(one)
    assert (len(rows), len(versions)) == (1, 1)


def test_executions_with_the_same_files_never_make_two_of_anything(lab, fresh):
    """They take the files in their own order and meet in the middle."""
    labs = [lab, *(lab.beside() for _ in range(3))]
    files = {f"execution-asset/Model_File/{number}": fresh() for number in range(20)}
    for each in labs:
        each.write(files)

    with lab.rigged() as rig, ThreadPoolExecutor(len(labs)) as workers:
        records = list(workers.map(rig.upload, [each.rid for each in labs]))

    assert {record.state.value for record in records} == {"uploaded"}
    md5s = {hashlib.md5(text.encode()).hexdigest() for text in files.values()}
    rows = [row for row in lab.api.rows(str(ASSET)) if row["MD5"] in md5s]
    assert len(rows) == len(files)
    assert len([call for call in rig.power.calls("store.put") if call.result]) == len(files)
    for row in rows:
        assert links(lab, row["RID"]) == sorted(each.rid for each in labs)


def test_the_stop_event_ends_the_wait(both):
    one, other = both

    with one.rigged() as rig, ThreadPoolExecutor(2) as workers:
        stop = first(lambda *_: (wait_until(lambda: is_waiting(other)), rig.stop.set()))
        rig.store.then["make_namespace"] = [stop]
        running = workers.submit(rig.upload, one.rid)
        wait_until(lambda: is_waiting(one))
        waiting = workers.submit(rig.upload, other.rid)

        assert running.result(10).state == "ready"
        assert waiting.result(10).state == "ready"


# ---------------------------------------------------------------- by itself


def test_a_content_has_one_worker_until_it_is_given_back():
    contents = ContentLocks()

    assert contents.claim("ab") == {"a", "b"}
    assert contents.claim("bc") == {"c"}
    contents.release("b")
    assert contents.claim("abc") == {"b"}


def test_who_waits_looks_again_as_soon_as_something_is_given_back():
    contents, got = ContentLocks(), []
    contents.claim("a")

    def work():
        while not (mine := contents.claim("a")):
            contents.wait()
        got.append(mine)

    worker = threading.Thread(target=work)
    worker.start()
    contents.release("a")
    worker.join(5)

    assert got == [{"a"}]


def test_who_waits_for_a_name_is_stopped_by_its_check_and_holds_up_no_other():
    names = ContentLocks()

    def stopped():
        raise KeyError("stop")

    with names.locked("a", stopped):
        with names.locked("b", stopped):
            pass
        with pytest.raises(KeyError), names.locked("a", stopped):
            pass
    assert names.claim("a") == {"a"}
