"""Files go once they are verified here and on the server; a crash at any step loses none."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from deriva_watch.cleanup import proof as proof_module
from deriva_watch.cleanup.policy import Policy
from deriva_watch.cleanup.remover import Remover
from deriva_watch.core.completeness.observation import ASIDE_NAME
from deriva_watch.core.errors import ServerAwayError
from deriva_watch.core.removal.removal import Removable
from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.edges.disk import removal
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.disk.scanning.scanner import scan
from deriva_watch.engine.server_check import ServerCheck
from engine.rig import Crash, Power, first, image, instead, write_files


@pytest.fixture
def two(lab):
    """Two files of an execution that is uploaded: their paths, and where they lie."""
    paths = [image("a.png"), image("b.png")]
    root = lab.write({path: f"{lab.rid} {path}".encode() for path in paths})
    with lab.rigged() as rig:
        assert rig.upload().state is ExecutionState.UPLOADED
    return paths, root


def policy(rig, *, move=False):
    base = f"deriva-ml/execution/{rig.rid}/"
    return Policy(rig.settings.watch[0].prefix, base, move=move, whole=True)


def unit(rig):
    prefix = rig.settings.watch[0].prefix
    return rig.journal.find(rig.parts.server, str(prefix), rig.rid)


def remover(rig):
    return Remover(
        rig.parts.journal,
        rig.catalog,
        rig.parts.server_check,
        rig.parts.unit_reader,
        rig.events.append,
        rig.stop,
    )


def look(rig):
    return rig.parts.unit_reader.look(rig.unit)


def remove(rig, *, move=False):
    """Remove all files of the rig's execution."""
    record = unit(rig)
    files = [f for f in rig.journal.files(record.id) if f.state is FileState.LINKED]
    removable = [Removable(file, file.path) for file in files]
    return remover(rig).remove(record, policy(rig, move=move), removable, look(rig))


def lie(root):
    """Return the names of all files that lie below a folder, ours of the receipt aside."""
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.parent != root
    )


def is_unchanged(rig):
    """Tell whether a look finds just what is called uploaded."""
    record = unit(rig)
    return record.state is ExecutionState.UPLOADED and look(rig).digest() == record.digest


def test_files_that_are_verified_are_deleted_and_their_folders(lab, two):
    _, root = two
    with lab.rigged() as rig:
        outcome = remove(rig)

        assert (outcome.reopened, outcome.kept) == (False, None)
        assert is_unchanged(rig)
        assert len(rig.told("file.removed")) == 2
    assert lie(root) == []
    assert not (root / "asset").exists()
    assert set(lab.states().values()) == {"removed"}


def test_files_that_are_verified_are_moved_with_their_folders(lab, two):
    paths, root = two
    with lab.rigged() as rig:
        remove(rig, move=True)

        assert is_unchanged(rig)
        place = f"uploaded/deriva-ml/execution/{lab.rid}"
        assert {event.moved_to for event in rig.told("file.removed")} == {
            f"{place}/{path}" for path in paths
        }
    assert lie(root) == []
    assert lie(lab.folder / "data" / place) == sorted(paths)


def test_a_removed_file_that_comes_back_is_a_file_like_any_other(lab, two):
    paths, root = two
    with lab.rigged() as rig:
        remove(rig)
        write_files(root, {paths[0]: f"{lab.rid} {paths[0]}".encode()})

        assert rig.upload().state is ExecutionState.UPLOADED
        assert lab.states() == {paths[0]: "linked", paths[1]: "removed"}
        assert remove(rig).kept is None
    assert lie(root) == []
    md5s = [row["MD5"] for row in lab.api.rows("demo:Image")]
    assert md5s.count(lab.files()[paths[0]].md5) == 1


# ------------------------------------------------------------------ the server


def lose_row(api, file):
    api.call("DELETE", f"{api.catalog}/entity/{file.table}/RID={file.rid}")


def lose_object(api, file):
    api.call("DELETE", api.url + file.url)


def change_row(api, file):
    body = [{"RID": file.rid, "MD5": "0" * 32}]
    api.call("PUT", f"{api.catalog}/attributegroup/{file.table}/RID;MD5", json=body)


def lose_link(api, file):
    api.call("DELETE", f"{api.catalog}/entity/demo:Image_Execution/Image={file.rid}")


@pytest.mark.parametrize("loss", [lose_row, lose_object, change_row, lose_link])
def test_what_the_server_does_not_hold_stays_and_is_uploaded_again(lab, two, loss):
    paths, root = two
    with lab.rigged() as rig:
        loss(lab.api, lab.files()[paths[0]])

        assert remove(rig).reopened
        assert unit(rig).state is ExecutionState.FILLING
        assert unit(rig).why
    assert lie(root) == [paths[0]]
    assert lab.states() == {paths[0]: "found", paths[1]: "removed"}


def test_while_the_server_is_away_everything_is_put_back(lab, two):
    paths, root = two
    with lab.rigged() as rig:
        rig.store._port.then["head"].append(instead(ServerAwayError("cannot ask", "no answer")))
        with pytest.raises(ServerAwayError):
            remove(rig)

        assert is_unchanged(rig)
    assert lie(root) == sorted(paths)
    assert set(lab.states().values()) == {"linked"}


# ------------------------------------------------------------------ while the server is asked


def change_in_secret(file):
    """Keep size and times; with a lease the kernel would let this wait."""
    found = file.stat()
    file.write_bytes(file.read_bytes().swapcase())
    removal.os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def exchange(file):
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)


def link(file):
    (file.parent / "another name").hardlink_to(file)


@pytest.fixture
def _unleased(monkeypatch):
    monkeypatch.setattr(removal, "F_SETLEASE", -1)  # the kernel answers EINVAL


@pytest.mark.usefixtures("_unleased")
@pytest.mark.parametrize("move", [False, True], ids=["delete", "move"])
@pytest.mark.parametrize("act", [change_in_secret, exchange, link])
def test_what_is_attacked_between_verification_and_removal_stays(lab, two, act, move):
    paths, root = two
    aside = (root / paths[0]).parent / ASIDE_NAME / "a.png"
    with lab.rigged() as rig:
        rig.store._port.then["head"].append(first(lambda *_: act(aside)))
        remove(rig, move=move)

        assert unit(rig).state is not ExecutionState.UPLOADED or act is link
    assert paths[0] in lie(root)
    assert paths[1] not in lie(root)
    assert lab.states()[paths[0]] == "linked"


@pytest.mark.usefixtures("_unleased")
def test_where_it_cannot_be_known_who_writes_the_file_stays(lab, two, monkeypatch):
    paths, root = two
    monkeypatch.setattr("deriva_watch.edges.disk.open_files._HOST_PID_NAMESPACE", "another")
    monkeypatch.setattr("deriva_watch.edges.disk.open_files.F_SETLEASE", -1)
    with lab.rigged() as rig:
        outcome = remove(rig)

        assert "it cannot be known" in outcome.kept.why
        assert is_unchanged(rig)
    assert lie(root) == sorted(paths)


def test_another_content_with_the_same_stamp_is_found_and_uploaded_again(lab, two):
    """As a disk that rots leaves it, or who sets the times back."""
    paths, root = two
    change_in_secret(root / paths[0])
    with lab.rigged() as rig:
        assert is_unchanged(rig)

        assert remove(rig).reopened
        assert "no longer has the content that was uploaded" in unit(rig).why
        assert rig.upload().state is ExecutionState.UPLOADED
    assert lie(root) == [paths[0]]
    assert lab.states() == {paths[0]: "linked", paths[1]: "removed"}


# ------------------------------------------------------------------ the process dies


STEPS = ["mark", "aside", "read", "asked", "unlink", "moved", "commit"]


@contextmanager
def dying(monkeypatch, step):
    """Let the process die after a step; what ends the context is that."""

    def after(function, number=1):
        seen = []

        def call(*arguments, **options):
            result = function(*arguments, **options)
            seen.append(None)
            if len(seen) == number:
                raise Crash
            return result

        return call

    with monkeypatch.context() as patched:
        wrap = {
            "aside": (removal.Aside, "__enter__"),
            "read": (proof_module, "digests"),
            "asked": (ServerCheck, "differences"),
            "unlink": (removal.Aside, "unlink"),
            "moved": (removal.Aside, "move"),
        }
        if step in wrap:
            owner, name = wrap[step]
            patched.setattr(owner, name, after(getattr(owner, name)))
        yield


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_after_any_step_loses_nothing_and_the_next_process_ends_it(
    lab, two, step, monkeypatch
):
    paths, root = two
    contents = {path: (root / path).read_bytes() for path in paths}
    power = {"mark": Power("journal.commit", 0, after=True), "commit": Power("journal.commit", 1)}
    move = step == "moved"
    with (
        dying(monkeypatch, step),
        lab.rigged(power=power.get(step)) as rig,
        pytest.raises(Crash),
    ):
        remove(rig, move=move)

    with lab.rigged() as rig:
        begun = rig.journal.being_removed(rig.parts.server)
        assert remover(rig).recover(unit(rig), policy(rig, move=move), begun)

        assert is_unchanged(rig)
        assert not rig.told("file.restored")
        for path in paths:
            is_removed = lab.states()[path] == "removed"
            assert is_removed != (root / path).exists()
        moved_to = {event.moved_to for event in rig.told("file.removed")}
        assert moved_to == ({f"uploaded/{policy(rig).base}{paths[0]}"} if move else moved_to)
        left = [root / path for path in paths if lab.states()[path] == "linked"]
        assert {file.read_bytes() for file in left} <= set(contents.values())
        assert remove(rig, move=move).kept is None
        assert is_unchanged(rig)
        assert not rig.journal.being_removed(rig.parts.server)
    assert lie(root) == []


def test_a_folder_that_is_not_mounted_says_nothing_of_its_files(lab, two, monkeypatch):
    paths, root = two
    with dying(monkeypatch, "aside"), lab.rigged() as rig, pytest.raises(Crash):
        remove(rig)
    (lab.folder / "data").rename(lab.folder / "unmounted")

    with lab.rigged() as rig:
        begun = rig.journal.being_removed(rig.parts.server)
        assert not remover(rig).recover(unit(rig), policy(rig), begun)
        (lab.folder / "unmounted").rename(lab.folder / "data")
        assert remover(rig).recover(unit(rig), policy(rig), begun)
        assert is_unchanged(rig)
    assert lie(root) == sorted(paths)
    assert set(lab.states().values()) == {"linked"}


def test_a_directory_that_is_archived_during_its_removal_hides_no_file(lab, two, monkeypatch):
    paths, root = two
    with dying(monkeypatch, "aside"), lab.rigged() as rig, pytest.raises(Crash):
        remove(rig)
    archive = lab.folder / "archive"
    root.rename(archive)

    with lab.rigged() as rig:
        begun = rig.journal.being_removed(rig.parts.server)
        assert not remover(rig).recover(unit(rig), policy(rig), begun)
        told = rig.told("file.restored")
    seen = scan(archive, ScanPolicy(lab.folder))

    (aside,) = (path for path in archive.rglob(ASIDE_NAME) if path.is_dir())
    (hidden,) = aside.iterdir()
    assert {(event.now, Path(event.path).name) for event in told} >= {(None, hidden.name)}
    assert all(f"{ASIDE_NAME}/" in event.why for event in told)
    assert seen is not None
    assert seen.skipped == {
        str(aside.relative_to(archive)): "it holds 1 file of a removal that was interrupted; "
        "move them to the folder that it is in"
    }
    hidden.rename(aside.parent / hidden.name)
    seen = scan(archive, ScanPolicy(lab.folder))
    assert seen is not None
    assert seen.skipped == {}
    assert sorted(seen.entries) == sorted(paths)
