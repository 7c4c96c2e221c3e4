"""`deriva-watch check` tells what other users say of the data below the roots."""

import json
import os

import pytest

from deriva_watch.commands.check import statements
from running import write_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")

BOB = 20_002
RECEIPT = "deriva-watch-receipt.json"
WORKSPACE = "catalogs/example.org__7/working/main.db"


@pytest.fixture
def theirs(data):
    """What Bob says of an execution of root; the paths to give to root."""
    root = write_files(data / "deriva-ml/execution/1-A", {"assets/T/f": "f"})
    said = [root / name for name in (".complete", ".deriva-watch-ignore", RECEIPT)]
    said.append(data / WORKSPACE)
    said[-1].parent.mkdir(parents=True)
    for path in said:
        path.write_text("{}")
        os.chown(path, BOB, BOB)
    return said


def line(lines, data):
    return lines.get(f"statements in {data}")


@pytest.mark.usefixtures("theirs")
def test_what_is_ignored_is_a_note_with_all_of_it_for_programs(found, data):
    status, lines = found(data)

    said = line(lines, data)
    assert (status, said["verdict"]) == (0, "note")
    assert said["what"] == "what other users say of 1 unit is ignored"
    why = f"it does not count: user {BOB} owns it, and user 0 the folder that it is about"
    assert said["facts"]["ignored"] == {
        "1-A": dict.fromkeys([".complete", ".deriva-watch-ignore", RECEIPT, WORKSPACE], why)
    }
    assert said["why"] == f"1-A: .complete: {why}"


def test_either_remedy_is_enough(found, data, theirs, monkeypatch):
    watch = json.dumps([{"prefix": str(data), "trusted_owners": [BOB]}])
    assert "trusted_owners" in line(found(data)[1], data)["next"]

    with monkeypatch.context() as patch:
        patch.setenv("DERIVA_WATCH_WATCH", watch)
        assert line(found(data)[1], data) is None
    for path in theirs:
        os.chown(path, 0, 0)
    assert line(found(data)[1], data) is None


@pytest.mark.usefixtures("theirs")
def test_of_many_units_some_are_looked_at(found, data, monkeypatch):
    monkeypatch.setattr(statements, "LOOKING_S", 0.0)
    (data / "deriva-ml/execution/1-B").mkdir()

    assert line(found(data)[1], data)["what"].endswith("is ignored (1 of 2 were looked at)")


def test_a_marker_in_a_directory_of_a_drop_folder_is_told_too(found, data, scanner, monkeypatch):
    folder = scanner("demo:Image")
    drop = json.loads(os.environ["DERIVA_WATCH_DROP"])[0] | {"unit": "directory", "workflow": "1"}
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps([drop]))
    write_files(folder / "run 1", {"a.png": "a", ".complete": ""})
    os.chown(folder / "run 1/.complete", BOB, BOB)

    said = line(found(data)[1], folder)

    assert list(said["facts"]["ignored"]["run 1"]) == [".complete"]
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps([drop | {"trusted_owners": [BOB]}]))
    assert line(found(data)[1], folder) is None
