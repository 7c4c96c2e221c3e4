"""What is dropped twice arrives once."""

import json
import os
import shutil

import pytest

from running import (
    Api,
    Gate,
    command,
    daemon,
    directory,
    requests_seen,
    sandbox,
    shown,
    write_config,
    write_files,
)
from system.difference import ASSET, LINK, assert_arrived_once, moved, new_rows, stored

IMAGE, IMAGE_LINK = "demo:Image", "demo:Image_Execution"
FILES = {f"file-{n}.bin": bytes([n]) * 3000 for n in range(5)}
TREE = {f"assets/Execution_Asset/{name}": content for name, content in FILES.items()}
CHUNK_BYTES = 2000  # so that every file of TREE goes in two chunks


@pytest.fixture
def server(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        yield ready


@pytest.fixture
def config(tmp_path, server):
    return write_config(tmp_path / "daemon", server, tmp_path)


def drop(folder, rid, files):
    """Let a whole tree appear at once, as a move does."""
    made = write_files(folder / "made" / rid, files)
    directory(folder, rid).parent.mkdir(parents=True, exist_ok=True)
    made.rename(directory(folder, rid))


def counts(before, after):
    return {table: len(rows) for table, rows in new_rows(before, after).items()}


@pytest.mark.parametrize("chunk_bytes", [CHUNK_BYTES, CHUNK_BYTES * 10])
def test_a_tree_dropped_for_two_executions_at_once_is_stored_once(
    tmp_path, server, api, chunk_bytes
):
    """Two workers meet at the same contents: one version and one row each, and two links."""
    first, second = api.execution(), api.execution()
    sizes = {"chunk_bytes": chunk_bytes}
    config = write_config(tmp_path / "daemon", server, tmp_path, transfer=sizes)
    for rid in (first, second):
        drop(tmp_path, rid, TREE)
    before = api.tables()

    with daemon(config) as running:
        running.wait_for_state(first, "uploaded")
        running.wait_for_state(second, "uploaded")

    after, versions = api.tables(), api.versions()
    assert counts(before, after) == {ASSET: len(FILES), LINK: 2 * len(FILES)}
    assert {len(each) for each in versions.values()} == {1}
    assert len(versions) == len(FILES)
    links = {(row["Execution"], row["Execution_Asset"]) for row in after[LINK].values()}
    assert links == {(rid, asset) for rid in (first, second) for asset in after[ASSET]}


def test_a_tree_dropped_for_a_second_execution_later_is_only_linked(tmp_path, server, api, config):
    """The catalog knows its contents: nothing is sent, and the rows are left as they are."""
    first, second = api.execution(), api.execution()
    with daemon(config) as running:
        drop(tmp_path, first, TREE)
        running.wait_for_state(first, "uploaded")
        before, versions, asked = api.tables(), api.versions(), len(requests_seen(server))

        drop(tmp_path, second, TREE)
        running.wait_for_state(second, "uploaded")

    after = api.tables()
    assert counts(before, after) == {LINK: len(FILES)}
    status = {("deriva-ml:Execution", second): {"Status": ("Stopped", "Uploaded")}}
    assert moved(before, after) == status
    assert api.versions() == versions
    assert not stored(requests_seen(server)[asked:])
    files = shown(config, second)["files"]
    assert {(file["state"], file["adopted"]) for file in files} == {("linked", True)}


def test_an_upload_without_its_journal_changes_nothing(tmp_path, server, api, config):
    """The memory is lost: the catalog tells what is there."""
    rid, before = api.execution(), api.tables()
    drop(tmp_path, rid, TREE)
    assert command(config, "upload", directory(tmp_path, rid)).returncode == 0
    assert_arrived_once(api, before, rid, FILES)
    before, versions, asked = api.tables(), api.versions(), len(requests_seen(server))
    shutil.rmtree(tmp_path / "daemon" / "state")

    told = command(config, "upload", directory(tmp_path, rid), "--json")

    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["files"] == {"linked": len(FILES)}
    assert api.tables() == before
    assert api.versions() == versions
    assert not stored(requests_seen(server)[asked:])


def test_a_tree_that_is_removed_and_dropped_again_changes_nothing(tmp_path, server, api, config):
    rid, before = api.execution(), api.tables()
    with daemon(config) as running:
        drop(tmp_path, rid, TREE)
        running.wait_for_state(rid, "uploaded")
        assert_arrived_once(api, before, rid, FILES)
        before, versions, asked = api.tables(), api.versions(), len(requests_seen(server))
        shutil.rmtree(directory(tmp_path, rid))
        running.wait_for_state(rid, "gone")

        told = len(running.events())
        drop(tmp_path, rid, TREE)
        running.wait_for_state(rid, "uploaded", after=told)

    assert api.tables() == before
    assert api.versions() == versions
    assert not stored(requests_seen(server)[asked:])


def test_files_that_are_copied_over_themselves_change_nothing(tmp_path, server, api, config):
    """Their times and inodes are new, so they are read again; their contents are not."""
    rid, before = api.execution(), api.tables()
    with daemon(config) as running:
        drop(tmp_path, rid, TREE)
        running.wait_for_state(rid, "uploaded")
        assert_arrived_once(api, before, rid, FILES)
        before, versions, asked = api.tables(), api.versions(), len(requests_seen(server))

        told = len(running.events())
        for path in sorted(directory(tmp_path, rid).glob("assets/*/*")):
            shutil.copyfile(path, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        running.wait_for_state(rid, "uploaded", after=told)

    assert api.tables() == before
    assert api.versions() == versions
    assert not stored(requests_seen(server)[asked:])


def test_late_files_are_all_that_is_sent_when_an_execution_opens_again(
    tmp_path, server, api, config
):
    """deriva-ml may add files after an upload; the Status in the catalog stays Uploaded."""
    rid, before = api.execution(), api.tables()
    with daemon(config) as running:
        drop(tmp_path, rid, TREE)
        running.wait_for_state(rid, "uploaded")
        told, asked = len(running.events()), len(requests_seen(server))

        late = {"late.txt": b"late"}
        write_files(directory(tmp_path, rid) / "assets" / "Execution_Asset", late)
        running.wait_for_state(rid, "filling", after=told)
        running.wait_for_state(rid, "uploaded", after=told)

    assert_arrived_once(api, before, rid, FILES | late)
    (sent,) = stored(requests_seen(server)[asked:])
    assert sent.endswith(".late.txt")
    moves = [e["path"] for e in running.events()[told:] if e["event"].startswith("file.")]
    assert {path.rpartition("/")[2] for path in moves} == {"late.txt"}


def test_the_same_file_of_two_subjects_becomes_two_assets(tmp_path, api, config):
    """Same content and name, other metadata: a version and a row for each of them."""
    rid, before = api.execution(), api.tables()
    subjects = ("1-S001", "1-S002")
    files = {f"asset/demo/Image/__NULL__/__NULL__/__NULL__/{s}/scan.png": "x" for s in subjects}
    with daemon(config) as running:
        drop(tmp_path, rid, files)
        running.wait_for_state(rid, "uploaded")

    after = api.tables()
    assert counts(before, after) == {IMAGE: 2, IMAGE_LINK: 2}
    rows = after[IMAGE].values()
    assert sorted(row["Subject"] for row in rows) == sorted(subjects)
    ((name, versions),) = api.versions().items()
    assert sorted(versions) == sorted(row["URL"] for row in rows)
    assert {api.content(url) for url in versions} == {b"x"}
    assert name.endswith(".scan.png")


def test_metadata_that_is_edited_after_the_upload_is_followed(tmp_path, api, config):
    """The row that we made says it; there is no second one, and no second object."""
    rid = api.execution()
    root = directory(tmp_path, rid)
    with daemon(config) as running:
        drop(tmp_path, rid, {"assets/Image/scan.png": "x", MANIFEST: described(rid, "1-S001")})
        running.wait_for_state(rid, "uploaded")
        before, versions, told = api.tables(), api.versions(), len(running.events())
        as_uploaded = (root / MANIFEST).read_text()

        (root / MANIFEST).write_text(as_uploaded.replace("1-S001", "1-S002"))
        running.wait_for_state(rid, "uploaded", after=told)
        (noticed,) = (e for e in running.events()[told:] if e["event"] == "notice.added")

    assert "Subject = '1-S001', but now '1-S002'" in noticed["why"]
    after = api.tables()
    assert list(moved(before, after).values()) == [{"Subject": ("1-S001", "1-S002")}]
    assert new_rows(before, after) == {}
    assert api.versions() == versions


MANIFEST = "asset-manifest.json"


def described(rid, subject):
    """Return a manifest with an image of *subject*."""
    image = {"asset_table": "Image", "schema": "demo", "metadata": {"Subject": subject}}
    entries = {"Image/scan.png": image | {"status": "pending", "rid": None}}
    return json.dumps({"version": 1, "execution_rid": rid, "assets": entries})


WAYS = {"copy": shutil.copyfile, "hard link": os.link, "symbolic link": os.symlink}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_file_under_two_names_becomes_two_assets(tmp_path, api, config, way):
    """The name is part of an asset, however the second one was made."""
    rid, before = api.execution(), api.tables()
    drop(tmp_path, rid, {"assets/Execution_Asset/one.bin": "same"})
    one = directory(tmp_path, rid) / "assets" / "Execution_Asset" / "one.bin"
    WAYS[way](one, one.with_name("two.bin"))

    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

    assert_arrived_once(api, before, rid, {"one.bin": b"same", "two.bin": b"same"})


@pytest.mark.parametrize("way", WAYS)
def test_the_same_file_in_two_places_becomes_one_asset(tmp_path, api, config, way):
    """A link is the same file; a copy is another one, which takes the row of the first."""
    rid, before = api.execution(), api.tables()
    drop(tmp_path, rid, {"assets/Execution_Asset/one.bin": "same"})
    one = directory(tmp_path, rid) / "assets" / "Execution_Asset" / "one.bin"
    other = directory(tmp_path, rid) / "asset" / "deriva-ml" / "Execution_Asset" / "one.bin"
    other.parent.mkdir(parents=True)
    WAYS[way](one, other)

    with daemon(config) as running:
        running.wait_for_state(rid, "uploaded")

    assert_arrived_once(api, before, rid, {"one.bin": b"same"})
    files = shown(config, rid)["files"]
    assert {file["state"] for file in files} == {"linked"}
    assert len(files) == (2 if way == "copy" else 1)
    assert len({file["rid"] for file in files}) == 1


def test_a_directory_that_is_removed_after_its_upload_ends_gone(tmp_path, api, config):
    """What it was stays in the journal, and what it brought stays in the catalog."""
    rid = api.execution()
    with daemon(config) as running:
        drop(tmp_path, rid, TREE)
        running.wait_for_state(rid, "uploaded")
        before, versions = api.tables(), api.versions()

        shutil.rmtree(directory(tmp_path, rid))
        running.wait_for_state(rid, "gone")

    execution = shown(config, rid)
    assert execution["state"] == "gone"
    assert {file["state"] for file in execution["files"]} == {"linked"}
    assert (api.tables(), api.versions()) == (before, versions)


@pytest.mark.parametrize("way", ["renamed", "deleted"])
def test_a_directory_that_goes_away_in_the_middle_loses_nothing(tmp_path, way):
    """It comes back, under another name or its own, and what was sent of it is taken."""
    gate = Gate(tmp_path, r"\.bin", first=1)
    gate.close()
    with sandbox(tmp_path / "server", faults=gate.faults) as server:
        api = Api(server)
        rid = api.execution()
        other = api.execution() if way == "renamed" else rid
        config = write_config(tmp_path / "daemon", server, tmp_path, transfer={"connections": 1})
        with daemon(config) as running:
            drop(tmp_path, rid, TREE)
            running.wait_for(lambda event: event["event"] == "file.stored")
            if way == "renamed":
                directory(tmp_path, rid).rename(directory(tmp_path, other))
            else:
                shutil.rmtree(directory(tmp_path, rid))
            gate.open()
            running.wait_for_state(rid, "gone")
            if way == "deleted":
                drop(tmp_path, rid, TREE)
            running.wait_for_state(other, "uploaded")

        rows = api.rows(ASSET)
        assert sorted(row["Filename"] for row in rows) == sorted(FILES)
        assert sorted(api.versions().values()) == sorted([row["URL"]] for row in rows)
        links = {row["Execution_Asset"] for row in api.rows(LINK) if row["Execution"] == other}
        assert links == {row["RID"] for row in rows}
        bad = {"file.refused", "execution.refused", "daemon.crashed"}
        assert not bad & {event["event"] for event in running.events()}
