"""Drop folders that a daemon clears: what is uploaded and verified again leaves them."""

import os
import signal
import time
from random import Random

import pytest

from deriva_watch.core.completeness.observation import ASIDE_NAME
from running import Api, daemon, detailed, sandbox, wait_until, write_config, write_files

DROP = """
[[drop]]
path = "{path}"
table = "deriva-ml:Execution_Asset"
pattern = '(?:[^/]+/)*[^/]+[.]bin'
unit = "{unit}"
after = "{after}"
after_delay_s = 0
quiet_s = 0.2
{more}
"""
WORKFLOW = "1-W001"  # of the sandbox


def left(folder):
    """Return the names of all files and of folders set aside, while folders come and go."""
    names = [n for _, folders, files in os.walk(folder) for n in (*folders, *files)]
    return [name for name in names if name.endswith(".bin") or name == ASIDE_NAME]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("clearing") / "data") as ready:
        yield ready


def lying(folder):
    """Return the paths of the files below a folder, receipts aside."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("deriva-watch-receipt")
    )


def is_removed(path):
    return lambda event: event["event"] == "file.removed" and event["path"] == path


def test_what_is_uploaded_is_moved_or_deleted_and_the_rest_stays(ready, tmp_path):
    """Also what comes later under the name of a file that was removed."""
    moving, deleting = tmp_path / "moving", tmp_path / "deleting"
    config = write_config(tmp_path, ready, tmp_path / "data")
    with config.open("a") as more:
        said = f'workflow = "{WORKFLOW}"\nmarkers = ["Done.txt"]'
        more.write(DROP.format(path=moving, unit="directory", after="move", more=said))
        said = "batch_s = 0.1"
        more.write(DROP.format(path=deleting, unit="none", after="delete", more=said))
    contents = {"run 1/a.bin": "a", "run 1/sub/b.bin": "b"}
    write_files(moving, {**contents, "run 1/Done.txt": "a marker, and no data"})
    write_files(deleting, {"x.bin": "x", "odd/y.bin": "y", "odd/stray.txt": "?"})

    with daemon(config) as running:
        for path in ("a.bin", "sub/b.bin", "x.bin"):
            event = running.wait_for(is_removed(path))
        held = running.wait_for(lambda event: event["event"] == "removal.blocked")
        assert "odd/stray.txt" in held["why"]
        seen = len(running.events())
        write_files(deleting, {"x.bin": "another x"})
        event = running.wait_for(is_removed("x.bin"), after=seen)
        unit = detailed(config, event["execution"])

        assert lying(moving) == ["run 1/Done.txt", *(f"uploaded/{path}" for path in contents)]
        assert lying(deleting) == ["odd/stray.txt", "odd/y.bin"]
        assert (unit["state"], unit["files"][0]["state"]) == ("uploaded", "removed")
        run = detailed(config, "run 1")
        moved = [f["removal"]["to"] for f in run["files"] if f["state"] == "removed"]
        assert moved == [f"uploaded/{path}" for path in contents]
    rows = Api(ready).rows("deriva-ml:Execution_Asset")
    stored = sorted(Api(ready).content(row["URL"]) for row in rows)
    assert stored == [b"a", b"another x", b"b", b"x", b"y"]
    assert not [e for e in running.events() if e["event"] in {"execution.refused", "file.restored"}]


ROUNDS = 20 if os.environ.get("SOAK") else 1


def stored(ready):
    """Return the contents that the server has of files that a row describes."""
    api = Api(ready)
    return {api.content(row["URL"]) for row in api.rows("deriva-ml:Execution_Asset")}


def test_a_daemon_that_is_killed_while_it_clears_loses_nothing(ready, tmp_path):
    """The next one ends what it began, and looks at nothing as if it were new."""
    folder, config = tmp_path / "drop", write_config(tmp_path, ready, tmp_path / "data")
    with config.open("a") as more:
        more.write(DROP.format(path=folder, unit="none", after="delete", more="batch_s = 0.1"))
    chance, written = Random(7), {}
    for number in range(ROUNDS):
        files = {f"{number}/{n}.bin": f"killed {number} {n}" for n in range(80)}
        written |= files
        write_files(folder, files)
        with daemon(config) as running:
            running.wait_for(lambda e: e["event"] == "file.removed")
            time.sleep(chance.random() / 10)
            running.stop(signal.SIGKILL)

    with daemon(config) as running:
        wait_until(lambda: not left(folder))
    told = [event for event in running.events() if event["event"] == "execution.filling"]
    assert [event for event in told if event["before"]] == []
    assert {text.encode() for text in written.values()} <= stored(ready)
