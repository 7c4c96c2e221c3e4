"""What may not be read, what may not be written, and disks that are full.

As root, which may read and write everything, the programs under test run without that right.
"""

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from running import (
    command,
    daemon,
    detailed,
    directory,
    problem,
    sandbox,
    summed_up,
    wait_until,
    without_privilege,
    write_config,
    write_files,
)

ASSETS = "asset/deriva-ml/Execution_Asset"
FULL_BYTES = 8192  # no file grows beyond, the short log excepted


@contextmanager
def closed(*paths, mode=0):
    """Take the rights from files and folders for a while."""
    before = {path: path.stat().st_mode & 0o777 for path in paths}
    for path in paths:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, old in before.items():
            path.chmod(old)


@contextmanager
def full_disk(process):
    """Let no file of a process grow; to it the disk is full."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server"), latency_ms=20) as ready:
        yield ready


def linked(api, rid):
    """Return the names of the files of an execution that are linked on the server."""
    rows = {row["RID"]: row["Filename"] for row in api.rows("deriva-ml:Execution_Asset")}
    links = api.rows("deriva-ml:Execution_Asset_Execution")
    return sorted(rows[link["Execution_Asset"]] for link in links if link["Execution"] == rid)


def rescanning(config):
    """Have the daemon look at everything every second: nothing tells of changed rights."""
    config.write_text(config.read_text().replace("[[watch]]\n", "[[watch]]\nrescan_s = 1\n"))
    return config


# ---------------------------------------------------------------------- what may not be read


def test_what_may_not_be_read_is_named_and_goes_in_once_it_may(tmp_path, server, api):
    """A file, a folder, and a whole execution directory; their neighbours are in meanwhile."""
    some, whole = api.execution(), api.execution()
    root = write_files(
        directory(tmp_path, some),
        {
            f"{ASSETS}/good.txt": "good",
            f"{ASSETS}/closed.txt": "closed",
            "execution-asset/Image/inside.txt": "inside",
        },
    )
    hidden = write_files(directory(tmp_path, whole), {f"{ASSETS}/hidden.txt": "hidden"})
    config = rescanning(write_config(tmp_path / "settings", server, tmp_path))

    with daemon(config, through=without_privilege()) as running:
        with closed(root / ASSETS / "closed.txt", root / "execution-asset", hidden):
            refused = [running.wait_for_state(rid, "refused") for rid in (some, whole)]
            files = {file["path"]: file for file in detailed(config, some)["files"]}
            summary = summed_up(config)
            assert linked(api, some) == ["good.txt"]
        for rid in (some, whole):
            running.wait_for_state(rid, "uploaded")

    file, folder = files[f"{ASSETS}/closed.txt"], files["execution-asset"]
    assert file["why"] == "the user of the daemon may not read it (mode 0000)"
    assert (folder["what"], folder["why"]) == (
        "cannot list execution-asset",
        "Permission denied",
    )
    assert refused[0]["what"] == f"2 of 3 files of execution {some} are refused"
    assert refused[1]["why"] == ".: Permission denied"
    assert {entry["rid"]: entry["why"] for entry in summary["refused"]} == {
        some: refused[0]["why"],
        whole: refused[1]["why"],
    }
    assert linked(api, some) == ["closed.txt", "good.txt", "inside.txt"]
    assert linked(api, whole) == ["hidden.txt"]


def test_a_tree_that_may_not_be_written_is_uploaded_and_its_copy_of_the_receipt_is_missed(
    tmp_path, server, api
):
    rid, through = api.execution(), without_privilege()
    root = write_files(directory(tmp_path, rid), {f"{ASSETS}/a.txt": f"of {rid}"})
    config = write_config(tmp_path / "settings", server, tmp_path)
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]

    with closed(*folders, mode=0o555), daemon(config, through=through) as running:
        running.wait_for_state(rid, "uploaded")
        (told,) = [e for e in running.events() if e.get("about") == "receipt"]

    assert linked(api, rid) == ["a.txt"]
    assert "no copy beside the files" in told["why"]
    kept = json.loads(Path(told["why"].partition("it is ")[2]).read_text())
    assert [line["file"] for line in kept["files"]] == [f"{ASSETS}/a.txt"]


def test_a_folder_of_executions_that_may_not_be_listed_is_waited_for(tmp_path, server, api):
    rid = api.execution()
    root = write_files(directory(tmp_path, rid), {f"{ASSETS}/good.txt": "good"})
    config = rescanning(write_config(tmp_path / "settings", server, tmp_path))

    with (
        closed(root.parent),
        daemon(config, wait=False, through=without_privilege()) as running,
    ):
        said = running.wait_for(lambda event: event["event"] == "problem.found")
        waits = problem(config, f"{root.parent}: names")
        at_once = command(config, "plan", tmp_path, "--json", through=without_privilege())
        root.parent.chmod(0o755)
        running.wait_for_state(rid, "uploaded")
        told = [event for event in running.events() if event["event"] == "problem.found"]
        wait_until(lambda: not summed_up(config)["problems"])

    assert said["why"] == waits["why"] == f"{root.parent} cannot be listed: Permission denied"
    assert "goes on" in said["next"] or "automatically" in said["next"]
    assert len(told) == 1
    assert at_once.returncode == 2
    assert json.loads(at_once.stdout)["error"]["why"] == waits["why"]
    assert linked(api, rid) == ["good.txt"]


# ---------------------------------------------------------------------- what may not be written


@pytest.mark.parametrize("name", ["run", "upload"])
def test_a_journal_below_a_file_is_an_error_of_the_settings(tmp_path, server, name):
    (tmp_path / "file").touch()
    write_files(directory(tmp_path, "1-AAAA"), {f"{ASSETS}/good.txt": "good"})
    url = f"sqlite:///{tmp_path}/file/state/journal.db"
    config = write_config(tmp_path / "settings", server, tmp_path, journal={"url": url})

    told = command(config, name, *([tmp_path] if name == "upload" else []))

    assert told.returncode == 2
    assert f"the journal {tmp_path}/file/state/journal.db" in told.stderr
    assert "Not a directory" in told.stderr
    assert "[journal] url" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_a_journal_that_may_not_be_written_is_an_error_of_the_settings(
    tmp_path, server, api, begun
):
    config = write_config(tmp_path / "settings", server, tmp_path)
    root = write_files(directory(tmp_path, api.execution()), {f"{ASSETS}/good.txt": "good"})
    state = tmp_path / "settings/state"
    state.mkdir()
    if begun:
        assert command(config, "upload", root).returncode == 0

    with closed(state, *state.glob("journal.db*"), mode=0o500):
        told = command(config, "run", "--json", through=without_privilege())

    assert told.returncode == 2
    error = json.loads(told.stdout)["error"]
    assert error["what"] == f"cannot open the journal {state}/journal.db"
    assert "Permission denied" in error["why"] or "readonly" in error["why"]
    assert "[journal] url" in error["next"]
    assert "Traceback" not in told.stderr


def test_an_order_that_cannot_be_left_or_taken_is_said(tmp_path, server, api):
    """The daemon goes on, and takes the order once it may."""
    rid = api.execution()
    write_files(directory(tmp_path, rid), {"stray.txt": "stray"})
    config = write_config(tmp_path / "settings", server, tmp_path)
    orders = tmp_path / "settings/state/orders"

    with daemon(config, through=without_privilege()) as running:
        running.wait_for_state(rid, "refused")
        with closed(orders, mode=0o500):
            not_left = command(config, "retry", rid, "--json", through=without_privilege())
        number = len(running.events())
        with closed(orders):
            said = running.wait_for(lambda event: event["event"] == "problem.found")
        command(config, "retry", rid)
        running.wait_for_state(rid, "refused", after=number)

    assert not_left.returncode == 2
    assert json.loads(not_left.stdout)["error"]["what"] == f"cannot write an order to {orders}"
    assert said["what"] == f"cannot process the orders in {orders}"
    assert said["why"] == f"Permission denied: {orders}"


def test_a_receipt_that_cannot_be_kept_is_said_and_loses_nothing(tmp_path, server, api):
    rid = api.execution()
    patient = {"retry": {"initial_s": 0.2, "max_s": 1, "max_attempts": 1000}}
    config = write_config(tmp_path / "settings", server, tmp_path, **patient)
    receipts = tmp_path / "settings/state/receipts"

    with daemon(config) as running:
        receipts.touch()
        write_files(directory(tmp_path, rid), {f"{ASSETS}/good.txt": "good"})
        waits = running.wait_for_state(rid, "waiting")
        (entry,) = wait_until(lambda: summed_up(config)["waiting"])
        receipts.unlink()
        running.wait_for_state(rid, "uploaded")

    assert waits["what"] == entry["what"] == f"cannot write the receipt of execution {rid}"
    assert str(receipts) in waits["why"]
    assert "room, rights" in waits["next"]
    assert linked(api, rid) == ["good.txt"]
    assert len(list(receipts.rglob(f"{rid}.json"))) == 1


# ---------------------------------------------------------------------- no room


def test_a_full_disk_under_the_journal_is_said_and_work_goes_on_when_there_is_room(
    tmp_path, server, api
):
    rid = api.execution()
    config = write_config(tmp_path / "settings", server, tmp_path)

    with daemon(config) as running:
        with full_disk(running):
            write_files(directory(tmp_path, rid), {f"{ASSETS}/good.txt": "good"})
            waits = problem(config, str(directory(tmp_path, rid)))
            # SQLite has several words for it, and other notices may come first.
            running.wait_for(
                lambda event: event["event"] == "notice.added" and waits["why"] in event["why"]
            )
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: not summed_up(config)["problems"])

    assert waits["what"] == f"cannot write the journal {tmp_path}/settings/state/journal.db"
    assert "space" in waits["next"]
    assert linked(api, rid) == ["good.txt"]


def test_a_disk_that_fills_up_in_the_middle_of_an_upload_loses_nothing(tmp_path, server, api):
    """The execution is given back as soon as the journal can be written, not at the next start."""
    rid = api.execution()
    config = write_config(tmp_path / "settings", server, tmp_path)
    names = [f"{number:03}.txt" for number in range(40)]

    with daemon(config) as running:
        write_files(directory(tmp_path, rid), {f"{ASSETS}/{name}": name for name in names})
        running.wait_for_state(rid, "uploading")
        with full_disk(running):
            waits = problem(config, "the journal")
        running.wait_for_state(rid, "uploaded")
        assert running.stop() == 143

    assert waits["what"] == f"cannot write the journal {tmp_path}/settings/state/journal.db"
    assert linked(api, rid) == names
