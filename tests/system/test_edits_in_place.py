"""Edits that size and modification time do not show: the change time makes them suspicious."""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from deriva_watch.core.completeness.observation import ASIDE_NAME
from running import Api, command, daemon, sandbox, wait_until, write_config, write_files

ASSETS = "asset/deriva-ml/Execution_Asset"
FILE = f"{ASSETS}/result.bin"


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


def settings(folder, ready, prefix, full_rescan_s=1, **more):
    config = write_config(folder / "settings", ready, prefix, **more)
    line = f"rescan_s = 1\nfull_rescan_s = {full_rescan_s}\n"
    config.write_text(config.read_text().replace("[[watch]]\n", f"[[watch]]\n{line}"))
    return config


def dropped(api, prefix):
    rid = api.execution()
    return rid, write_files(prefix / "deriva-ml/execution" / rid, {FILE: b"AAAA" * 3})


def edit(path, content):
    """Overwrite a file in its place and set its times back, as some programs do."""
    found = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def contents(api, rid):
    """Return the contents that the catalog has for the files of an execution, the newest last."""
    rows = {row["RID"]: row for row in api.rows("deriva-ml:Execution_Asset")}
    links = api.rows("deriva-ml:Execution_Asset_Execution")
    assets = [link["Execution_Asset"] for link in links if link["Execution"] == rid]
    return [api.content(rows[asset]["URL"]) for asset in assets]


def noted(config, rid):
    """Return the change times that the journal has: of the unit, and of its file."""
    with closing(sqlite3.connect(config.parent / "state/journal.db")) as database:
        return database.execute(
            "SELECT e.checked_ns, f.ctime_ns FROM execution e JOIN file f ON f.execution_id = e.id"
            " WHERE e.rid = ? AND f.path = ?",
            (rid, FILE.encode()),
        ).fetchone()


def test_an_edit_whose_time_was_set_back_is_uploaded(tmp_path, ready):
    api = Api(ready)
    rid, root = dropped(api, tmp_path)
    config = settings(tmp_path, ready, tmp_path)
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
        number = len(running.events())
        edit(root / FILE, b"BBBB")

        told = running.wait_for_state(rid, "filling", after=number)
        running.wait_for_state(rid, "uploaded", after=number)

    assert "its bytes have changed, although its size and modification time have not" in told["why"]
    assert contents(api, rid)[-1] == b"BBBB" + b"AAAA" * 2


def change_modes(root, _):
    subprocess.run(["chmod", "-R", "g+w", root], check=True)


def link_a_copy(root, folder):
    subprocess.run(["cp", "-al", root, folder / "copy"], check=True)


def back_up(root, folder):
    """Read everything and set the access times back, as some backup programs do."""
    found = (root / FILE).stat()
    shutil.copyfile(root / FILE, folder / "backup")
    os.utime(root / FILE, ns=(found.st_atime_ns, found.st_mtime_ns))


def kill_a_removal(root, _):
    """Leave the file renamed back from the folder of a removal that was killed."""
    aside = (root / FILE).parent / ASIDE_NAME
    aside.mkdir(0o700)
    (root / FILE).rename(aside / "result.bin")
    (aside / "result.bin").rename(root / FILE)
    aside.rmdir()


@pytest.mark.parametrize("touch", [change_modes, link_a_copy, back_up, kill_a_removal])
def test_a_change_of_attributes_is_noted_and_changes_nothing(tmp_path, ready, touch):
    api = Api(ready)
    rid, root = dropped(api, tmp_path)
    config = settings(tmp_path, ready, tmp_path)
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
        wait_until(lambda: noted(config, rid)[0])
        number, before_ns = len(running.events()), (root / FILE).stat().st_ctime_ns

        touch(root, tmp_path)
        after_ns = (root / FILE).stat().st_ctime_ns
        assert after_ns > before_ns
        wait_until(lambda: noted(config, rid) == (after_ns, after_ns))
        names = [e["event"] for e in running.events()[number:] if e.get("execution") == rid]

    assert names == []


def test_our_own_write_of_the_manifest_makes_nothing_suspicious(tmp_path, ready):
    api = Api(ready)
    rid, root = dropped(api, tmp_path)
    entry = {"status": "pending"}
    manifest = {"version": 1, "assets": {"Execution_Asset/a.bin": entry}}
    name = "asset-manifest.json"
    write_files(root, {"assets/Execution_Asset/a.bin": "a", name: json.dumps(manifest)})
    config = settings(tmp_path, ready, tmp_path)
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
        number = len(running.events())
        wait_until(lambda: noted(config, rid)[0] == (root / name).stat().st_ctime_ns)
        names = [e["event"] for e in running.events()[number:] if e.get("execution") == rid]

    written = json.loads((root / name).read_text())
    assert written["assets"]["Execution_Asset/a.bin"]["rid"]
    assert names == []


def test_retry_reads_such_a_file_again_at_once(tmp_path, ready):
    """The next full rescan is hours away."""
    api = Api(ready)
    rid, root = dropped(api, tmp_path)
    config = settings(tmp_path, ready, tmp_path, full_rescan_s=36_000)
    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")
        number = len(running.events())
        edit(root / FILE, b"BBBB")
        command(config, "retry", rid)
        running.wait_for_state(rid, "uploaded", after=number)

    assert contents(api, rid)[-1] == b"BBBB" + b"AAAA" * 2


def test_verify_does_not_say_that_nobody_wrote_to_it(tmp_path, ready):
    api = Api(ready)
    rid, root = dropped(api, tmp_path)
    config = write_config(tmp_path / "settings", ready, tmp_path)
    assert command(config, "upload", root).returncode == 0
    edit(root / FILE, b"BBBB")

    told = command(config, "verify", rid)

    assert told.returncode == 3
    assert "does not have the content that was uploaded" in told.stdout
    assert "No program wrote to it" not in told.stdout
    assert command(config, "upload", root).returncode == 0
    assert contents(api, rid)[-1] == b"BBBB" + b"AAAA" * 2
