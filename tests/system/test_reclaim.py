"""`reclaim` deletes what is verified again, and nothing else, whatever others do."""

import json
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from deriva_watch.commands.reclaim import ReclaimRun
from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.status import open_views
from engine.rig import image
from running import command, daemon, detailed, sandbox, wait_until, without_privilege, write_files
from system.trusted import (
    Scene,
    change_row,
    cut_object,
    edit,
    edit_in_secret,
    empty_object,
    link_elsewhere,
    lose_link,
    lose_object,
    lose_row,
    lose_type,
    rot_object,
    stored,
)

SUBJECTS = "table/demo/Subject/Subject.csv"
RECEIPT = "deriva-watch-receipt.json"
SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("reclaim") / "data") as ready:
        yield ready


@pytest.fixture
def scene(tmp_path, ready):
    return Scene(tmp_path, ready)


def reclaim(scene, *arguments, through=()):
    """Give the command; return its status and what it says."""
    options = "--older-than", "0", "--yes", "--json", *(arguments or (scene.rid,))
    told = command(scene.config, "reclaim", *options, through=through)
    assert told.stdout, told.stderr
    return told.returncode, json.loads(told.stdout)


def reclaim_here(scene, *rids):
    """Do the same without the price of a process; return what would go, and what went."""
    settings = scene.settings()
    order = Reclaim(by="a test", rids=rids or (scene.rid,), older_than_s=0.0)
    work = ReclaimRun(settings, open_views(settings.journal.url), order)
    found = work.candidates()
    return found, list(work.carry_out([each for each in found if each.files], lambda _: None))


def lying(scene):
    """Return the paths of what is left of the execution."""
    return {
        path.relative_to(scene.root).as_posix()
        for path in scene.root.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def states(scene):
    return {file["path"]: file["state"] for file in detailed(scene.config, scene.rid)["files"]}


def test_what_is_uploaded_goes_and_the_execution_stays_what_it_is(scene):
    assert scene.upload({**scene.files, SUBJECTS: f"Name\n{scene.rid}\n"}) == "uploaded"

    status, told = reclaim(scene)

    assert (status, told["files"]) == (0, 3), told
    assert told["size_bytes"] == sum(map(len, scene.files.values()))
    assert lying(scene) == {RECEIPT, SUBJECTS}
    assert states(scene) == {**dict.fromkeys(scene.files, "removed"), SUBJECTS: "linked"}
    lines = json.loads((scene.root / RECEIPT).read_text())["files"]
    assert {line["file"]: line["state"] for line in lines} == states(scene)
    assert scene.verify().differences == ()
    assert reclaim(scene)[1]["files"] == 0


def test_nothing_goes_without_a_word_or_before_its_time(scene):
    scene.upload()
    shown = command(scene.config, "reclaim", "--all", "--older-than", "0", "--dry-run")
    unasked = command(scene.config, "reclaim", "--all", "--older-than", "0")
    young = command(scene.config, "reclaim", scene.rid, "--older-than", "1h", "--yes")
    unclear = command(scene.config, "reclaim", scene.rid, "--older-than", "soon")
    never = command(scene.config, "reclaim", scene.rid, "--older-than", f"{'9' * 20}d", "--yes")

    assert (shown.returncode, "3 files" in shown.stdout) == (0, True)
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert (young.returncode, "only 0.0 h ago" in young.stdout.replace("\n", " ")) == (3, True)
    assert (unclear.returncode, "30d" in unclear.stderr) == (2, True)
    assert (never.returncode, "30d" in never.stderr) == (2, True)
    assert lying(scene) == {RECEIPT, *scene.files}


def test_a_daemon_does_it_and_takes_what_comes_later(scene):
    write_files(scene.root, scene.files)
    late = image("late.png")
    with daemon(scene.config) as running:
        running.wait_for_state(scene.rid, "uploaded")
        status, told = reclaim(scene, "--all")
        seen = len(running.events())
        assert (status, told["files"]) == (0, 3)
        assert not running.wait_for(lambda e: e["event"] == "order.applied").get("why")
        write_files(scene.root, {late: f"{scene.rid} late"})
        running.wait_for_state(scene.rid, "uploaded", after=seen)
        assert running.stop() == 128 + signal.SIGTERM

    assert states(scene) == {**dict.fromkeys(scene.files, "removed"), late: "linked"}
    assert lying(scene) == {RECEIPT, late}
    removed = [e["path"] for e in running.events() if e["event"] == "file.removed"]
    assert sorted(removed) == sorted(scene.files)
    assert not [e for e in running.events() if e["event"] == "execution.refused"]


def test_links_go_with_their_file_and_what_lies_elsewhere_stays(scene):
    """Another execution that links to a file keeps it."""
    outside = scene.root.parents[2] / "raw/outside.bin"
    write_files(outside.parent, {outside.name: f"{scene.rid} outside"})
    flat = {f"assets/Execution_Asset/{name}": f"{scene.rid} {name}" for name in ("a.bin", "b.bin")}
    write_files(scene.root, flat)
    links = {
        "execution-asset/Model_File/a.bin": "../../assets/Execution_Asset/a.bin",
        "execution-asset/Model_File/outside.bin": str(outside),
    }
    for path, target in links.items():
        (scene.root / path).parent.mkdir(parents=True, exist_ok=True)
        (scene.root / path).symlink_to(target)
    assert scene.upload({}) == "uploaded"
    other = Scene(scene.config.parents[1], scene.ready)
    place = other.root / "execution-asset/Model_File/b.bin"
    place.parent.mkdir(parents=True)
    place.symlink_to(scene.root / "assets/Execution_Asset/b.bin")
    assert other.upload({}) == "uploaded"

    _, told = reclaim_here(scene)

    assert told[0].files == 1
    kept = {"execution-asset/Model_File/outside.bin", "assets/Execution_Asset/b.bin"}
    assert lying(scene) == {RECEIPT, *kept}
    assert outside.read_text() == f"{scene.rid} outside"
    assert place.read_text() == f"{scene.rid} b.bin"
    assert scene.upload({}) == other.upload({}) == "uploaded"
    assert states(scene)["assets/Execution_Asset/a.bin"] == "removed"


def test_a_dry_run_checks_everything_and_ends_as_the_real_run_does(scene):
    """It deletes nothing and leaves no trace."""
    losses = lose_row, lose_object, change_row, lose_link, lose_type
    paths = [f"execution-asset/Model_File/{loss.__name__}" for loss in losses]
    acts = {scene.paths[0]: edit_in_secret, scene.paths[1]: link_hard}
    scene.upload({path: f"{scene.rid} {path}" for path in [*paths, *scene.files]})
    well = command(scene.config, "reclaim", scene.rid, "--older-than", "0", "--dry-run")
    for loss, path in zip(losses, paths, strict=True):
        loss(scene, scene.line(path))
    for path, act in acts.items():
        act(scene.root / path)
    before = {p: p.stat().st_ctime_ns for p in scene.root.rglob("*")}

    dry, said = reclaim(scene, scene.rid, "--dry-run")
    after = {p: p.stat().st_ctime_ns for p in scene.root.rglob("*")}
    status, told = reclaim(scene)

    assert (well.returncode, "Would delete 8 files" in well.stdout) == (0, True)
    assert (dry, status) == (3, 3)
    assert (said["reclaimed"], after) == ([], before)
    (candidate,), (result,) = said["candidates"], told["reclaimed"]
    assert candidate["files"] == result["files"] == 1
    assert candidate["stays"].keys() == result["stays"].keys() == {*paths, *acts}


@contextmanager
def written(file):
    with file.open("ab"):
        yield


@contextmanager
def in_a_read_only_folder(file):
    file.parent.chmod(0o500)
    yield
    file.parent.chmod(0o700)


@pytest.mark.parametrize("keeping", [written, in_a_read_only_folder])
def test_a_dry_run_names_what_the_real_run_would_keep(scene, keeping):
    scene.upload()
    with keeping(scene.root / scene.typed):
        dry, said = reclaim(scene, scene.rid, "--dry-run", through=without_privilege())
        status, told = reclaim(scene, scene.rid, through=without_privilege())

    assert (dry, status) == (3, 3)
    assert said["candidates"][0]["files"] == told["reclaimed"][0]["files"] == 2
    assert said["candidates"][0]["stays"].keys() == {scene.typed}
    assert lying(scene) == {RECEIPT, scene.typed}


# ------------------------------------------------------------------ attacks


def link_hard(file):
    os.link(file, Path(str(file).partition("/deriva-ml/")[0]) / "another name")


def nothing(_file):
    pass


def test_what_was_changed_here_stays(scene):
    """A changed directory is not even looked into; the daemon uploads it again first."""
    acts = (edit_in_secret, link_hard, nothing)
    scene.upload()
    kept = set()
    for act, path in zip(acts, scene.files, strict=True):
        act(scene.root / path)
        kept |= {path} if act is not nothing else set()

    _, (told,) = reclaim_here(scene)

    assert kept <= lying(scene)
    assert scene.typed not in lying(scene)
    assert "no longer has the content that was uploaded" in told.why
    assert told.stays.keys() == kept  # each is named with its reason


@pytest.mark.parametrize("act", [edit, link_elsewhere])
def test_an_execution_that_changed_is_not_touched(scene, act):
    scene.upload()
    act(scene.root / scene.typed)

    (found,), told = reclaim_here(scene)

    assert told == []
    assert "has changed" in found.why
    assert lying(scene) == {RECEIPT, *scene.files}


def test_a_directory_in_whose_place_a_link_is_loses_nothing(scene):
    scene.upload()
    folder, away = scene.root / "execution-asset", scene.root.parents[2] / "moved"
    folder.rename(away)
    folder.symlink_to(away)

    reclaim_here(scene)

    assert (away / "Model_File/m.bin").exists()


def test_what_somebody_writes_to_stays(scene):
    scene.upload()
    with (scene.root / scene.typed).open("ab"):
        reclaim_here(scene)

    assert scene.typed in lying(scene)


@pytest.mark.parametrize("beside", ["stray.txt", ".DS_Store"])
def test_nothing_goes_beside_what_is_not_in_the_catalog(scene, beside):
    scene.upload({**scene.files, beside: "?"})

    (found,), told = reclaim_here(scene)

    assert told == []
    assert beside in found.why
    assert lying(scene) == {RECEIPT, beside, *scene.files}


def test_what_the_server_lost_or_changed_stays_and_is_named(scene):
    losses = lose_row, lose_object, change_row, lose_link, lose_type
    paths = [f"execution-asset/Model_File/{loss.__name__}" for loss in losses]
    scene.upload({path: f"{scene.rid} {path}" for path in [*paths, *scene.files]})
    for loss, path in zip(losses, paths, strict=True):
        loss(scene, scene.line(path))

    _, (told,) = reclaim_here(scene)

    assert lying(scene) == {RECEIPT, *paths}
    assert told.why
    assert {path: state for path, state in states(scene).items() if state == "found"} == (
        dict.fromkeys(paths, "found")
    )


@pytest.mark.parametrize("damage", [empty_object, cut_object, rot_object])
def test_a_file_stays_where_the_server_cannot_give_its_bytes_back(scene, damage):
    """However little of them it lost: its database does not notice."""
    scene.upload()
    damage(scene, scene.line(scene.typed))
    _, (told,) = reclaim_here(scene)

    assert lying(scene) == {RECEIPT, scene.typed}
    assert told.stays.keys() == {scene.typed}
    assert "administrator" in detailed(scene.config, scene.rid)["files"][-1]["next"]
    assert detailed(scene.config, scene.rid)["state"] == "uploaded"
    lines = {line["file"]: line for line in scene.receipt()["files"]}
    assert lines[scene.paths[0]]["proof"]["read_back"] == "sample"
    assert "proof" not in lines[scene.typed]


def test_the_middle_of_a_large_object_is_read_only_where_all_of_it_is(scene):
    path = scene.typed
    content = os.urandom(400_000)
    scene.upload({path: content})
    with stored(scene, scene.line(path)).open("r+b") as file:
        file.seek(200_000)
        file.write(bytes([content[200_000] ^ 1]))

    status, told = reclaim(scene, scene.rid, "--read-back", "all", "--dry-run")
    assert (status, told["candidates"][0]["stays"].keys()) == (3, {path})
    assert reclaim(scene, scene.rid, "--read-back", "all")[0] == 3
    assert path in lying(scene)
    assert reclaim(scene, scene.rid, "--read-back", "none")[0] == 0
    assert lying(scene) == {RECEIPT}


def test_a_forged_receipt_deletes_nothing(scene):
    scene.upload()
    scene.forge(scene.typed, md5="0" * 32)
    lose_object(scene, scene.line(scene.typed))
    reclaim_here(scene)
    assert lying(scene) == {RECEIPT, scene.typed}


# ------------------------------------------------------------------ the process dies


@pytest.mark.parametrize("round_", range(20 if SOAK else 1))
def test_killed_in_the_middle_it_loses_nothing_and_the_next_one_ends_it(scene, round_):
    names = [f"execution-asset/Model_File/{n}.bin" for n in range(48)]
    files = {name: f"{scene.rid} {name}" for name in names}
    write_files(scene.root, files)
    with daemon(scene.config) as running:
        running.wait_for_state(scene.rid, "uploaded")
        order = "--older-than", "0", "--yes"
        command_ = lambda: command(scene.config, "reclaim", scene.rid, *order)  # noqa: E731

        asking = Thread(target=command_)
        asking.start()
        running.wait_for(lambda e: e["event"] == "file.removed")
        time.sleep(round_ / 100)
        running.stop(signal.SIGKILL)
        asking.join()
    with daemon(scene.config) as running:
        wait_until(lambda: lying(scene) == {RECEIPT}, 60)
        wait_until(lambda: not list((scene.state / "orders").glob("*.json")))
        assert running.stop() == 128 + signal.SIGTERM
    assert set(states(scene).values()) == {"removed"}
    assert detailed(scene.config, scene.rid)["state"] == "uploaded"
    assert not [e for e in running.events() if e["event"].startswith("execution.filling")]
    assert not list(scene.root.rglob(ASIDE_NAME))
    assert scene.verify().differences == ()
