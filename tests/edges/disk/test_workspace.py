"""Reading what deriva-ml knows, without being in its way."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.metadata.sources import Statement
from deriva_watch.edges.disk.workspace import NotListedError, find

SAMPLE = Path(__file__).parents[2] / "data/workspace/images.db"
RID = "4X8"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")


@pytest.fixture
def path(tmp_path):
    """A prefix with the database that deriva-ml itself wrote, in WAL mode as it is live."""
    path = tmp_path / "catalogs/data.example.org__15/working/main.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(SAMPLE, path)
    change(path, "PRAGMA journal_mode = WAL")
    return path


@pytest.fixture
def workspace(path):
    (workspace,) = find(path.parents[3])
    return workspace


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def row(path: Path, key: str) -> dict[str, object]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        query = "SELECT * FROM execution_state__assets WHERE key = ?"
        return dict(database.execute(query, (key,)).fetchone())


def execution(path: Path) -> tuple[object, ...]:
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT status, sync_pending, last_activity FROM execution_state__executions"
        return database.execute(query).fetchone()


def test_host_and_catalog_stand_in_the_name_of_the_folder(workspace):
    assert (workspace.host, workspace.catalog) == ("data.example.org", "15")


def test_a_prefix_without_deriva_mls_folders_has_no_workspace(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b/catalogs/data.example.org__1/working").mkdir(parents=True)
    (tmp_path / "c/catalogs/stray").mkdir(parents=True)

    assert [find(tmp_path / name) for name in "abc"] == [[], [], []]


def test_it_lists_executions_with_their_status(workspace):
    assert workspace.statuses() == {RID: "Pending_Upload"}
    assert workspace.lists(RID)
    assert workspace.execution_status(RID) == "Pending_Upload"


def test_an_execution_of_another_catalog_is_not_listed(workspace):
    assert not workspace.lists("1-XYZ")
    assert workspace.execution_status("1-XYZ") is None
    assert workspace.assets("1-XYZ") == {}


def test_it_states_what_deriva_ml_registered(workspace):
    assets = workspace.assets(RID)

    assert assets["Image/linked.png"] == Statement(
        "deriva-ml's workspace",
        "Image",
        schema="demo",
        metadata={"Subject": "4T8", "Acquisition_Date": "2026-05-06"},
        types=("Image",),
        description="symlinked",
        rid="4XY",
    )
    assert len(assets) == 12


def test_what_was_uploaded_before_is_recorded(workspace):
    recorded = [key for key, asset in workspace.assets(RID).items() if asset.recorded]

    assert recorded == [
        "Execution_Metadata/configuration.json",
        "Execution_Metadata/environment_snapshot_20261122_080315.txt",
    ]


def test_what_a_live_writer_committed_is_seen(path, workspace):
    """It still stands in the -wal file; a transaction that is not committed is not seen."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("UPDATE execution_state__executions SET status = 'Stopped'")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE execution_state__executions SET status = 'Failed'")

        assert workspace.execution_status(RID) == "Stopped"
        writer.rollback()


def test_a_name_with_characters_of_an_address_is_opened(tmp_path):
    path = tmp_path / "50%? #1/catalogs/h__1/working/main.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(SAMPLE, path)

    (workspace,) = find(tmp_path / "50%? #1")

    assert workspace.lists(RID)


@only_root
def test_the_database_of_another_user_is_read_from_a_copy(path):
    """Nothing of ours is left beside it, and the -wal of its live writer counts."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("UPDATE execution_state__executions SET status = 'Stopped'")
        for part in path.parent.iterdir():
            os.chown(part, 1000, 1000)
        (workspace,) = find(path.parents[3])
        before = {part.name: part.stat() for part in path.parent.iterdir()}

        assert workspace.execution_status(RID) == "Stopped"

        after = {part.name: part.stat() for part in path.parent.iterdir()}
        assert {name: found.st_mtime_ns for name, found in after.items()} == {
            name: found.st_mtime_ns for name, found in before.items()
        }


@only_root
def test_the_idle_database_of_another_user_gets_no_files_beside_it(path):
    os.chown(path, 1000, 1000)
    (workspace,) = find(path.parents[3])

    assert workspace.lists(RID)
    assert [part.name for part in path.parent.iterdir()] == ["main.db"]


@only_root
@pytest.mark.parametrize("part", ["", "-wal", "/..", "/../.."])
def test_all_owners_of_its_files_and_folders_are_told(path, part):
    """Each of them could have written what is in it, or put it in the place of another."""
    if part == "-wal":
        path.with_name("main.db-wal").touch()
    os.chown(os.path.normpath(f"{path}{part}"), 1000, 1000)

    (workspace,) = find(path.parents[3])

    assert workspace.owners == {0, 1000}


@only_root
@pytest.mark.parametrize("above", [0, 1])
def test_one_that_somebody_puts_in_its_place_is_not_read(path, workspace, above):
    folder = path.parents[above]
    shutil.copytree(folder, folder.with_name("theirs"))
    os.chown(folder.with_name("theirs"), 1000, 1000)
    os.chown(path, 1001, 1001)
    (workspace,) = (each for each in find(path.parents[3]) if each.host == "data.example.org")
    folder.rename(folder.with_name("ours"))
    folder.with_name("theirs").rename(folder)

    with pytest.raises(TransientError, match="replaced"):
        workspace.lists(RID)


def hindered(prefix):
    """Return who owns what we may not look into."""
    try:
        (workspace,) = find(prefix)
    except NotListedError as error:
        return {error.owner}
    with pytest.raises(TransientError, match="Permission denied"):
        workspace.lists(RID)
    return workspace.owners


@only_root
@pytest.mark.parametrize("closed", ["catalogs", "catalogs/data.example.org__15"])
def test_where_we_may_not_look_the_owner_of_the_folder_is_told(closed):
    """Whether there is a workspace is a question only of those for whom it counts."""
    with tempfile.TemporaryDirectory() as name:
        prefix = Path(name)
        prefix.chmod(0o755)
        (prefix / "catalogs/data.example.org__15").mkdir(parents=True)
        os.chown(prefix / closed, 1000, 1000)
        (prefix / closed).chmod(0o700)
        os.seteuid(1001)
        try:
            assert hindered(prefix) == {1000}
        finally:
            os.seteuid(0)


@only_root
def test_a_link_or_a_pipe_in_the_place_of_a_database_is_not_followed(path, workspace, tmp_path):
    os.chown(path, 1000, 1000)
    path.rename(tmp_path / "elsewhere.db")
    path.symlink_to(tmp_path / "elsewhere.db")

    with pytest.raises(TransientError, match="symbolic links"):
        workspace.lists(RID)

    path.unlink()
    os.mkfifo(path)
    os.chown(path, 1000, 1000)
    with pytest.raises(TransientError, match="not a regular file"):
        workspace.lists(RID)


@only_root
def test_the_database_of_another_user_is_never_written(path, workspace):
    os.chown(path, 1000, 1000)

    with pytest.raises(RefusedError, match="belongs to another user"):
        workspace.write_back(RID, {"Image/full.png": "4XT"}, NOW)


def test_a_damaged_database_says_so_and_waits(path, workspace):
    path.write_bytes(b"not a database" * 1000)

    with pytest.raises(TransientError, match="file is not a database"):
        workspace.statuses()


def test_a_vanished_database_says_so_and_waits(path, workspace):
    path.unlink()

    with pytest.raises(TransientError, match="No such file"):
        workspace.assets(RID)


def test_a_locked_database_says_so_and_waits(path, workspace):
    change(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        with pytest.raises(TransientError, match="database is locked"):
            workspace.statuses()


def test_a_folder_that_may_not_be_listed_is_not_an_absent_workspace(tmp_path):
    (tmp_path / "catalogs").mkdir(mode=0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(TransientError, match="Permission denied"):
            find(tmp_path)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DROP TABLE execution_state__assets", "no such table"),
        ("ALTER TABLE execution_state__assets RENAME COLUMN metadata TO facts", "no such column"),
        ("UPDATE execution_state__assets SET metadata = '{'", "unexpected value"),
        ("UPDATE execution_state__assets SET asset_types = '\"Image\"'", "is not a list"),
    ],
)
def test_the_database_of_an_unknown_version_is_refused(path, workspace, statement, why):
    change(path, statement)

    with pytest.raises(RefusedError, match=why):
        workspace.assets(RID)


def test_uploads_are_written_back_as_deriva_ml_would(path, workspace):
    conflicts = workspace.write_back(RID, {"Image/full.png": "4XT"}, NOW)

    assert conflicts == {}
    after = row(path, "Image/full.png")
    assert (after["status"], after["rid"], after["error"]) == ("uploaded", "4XT", None)
    assert after["uploaded_at"] == after["updated_at"] == "2026-01-02T03:04:05.000678+00:00"
    assert row(path, "Image/same.png")["status"] == "pending"


def test_a_leased_rid_gives_way_to_that_of_the_row_that_was_adopted(path, workspace):
    assert row(path, "Image/full.png")["rid"] == "4XT"

    assert workspace.write_back(RID, {"Image/full.png": "1-OLD"}, NOW) == {}

    after = row(path, "Image/full.png")
    assert (after["status"], after["rid"]) == ("uploaded", "1-OLD")


def test_the_rid_of_an_asset_that_was_uploaded_before_is_never_overwritten(path, workspace):
    change(path, "UPDATE execution_state__assets SET status = 'uploaded' WHERE rid = '4XT'")
    before = row(path, "Image/full.png")

    conflicts = workspace.write_back(RID, {"Image/full.png": "1-NEW", "Image/same.png": "4Y6"}, NOW)

    assert conflicts == {"Image/full.png": "4XT"}
    assert row(path, "Image/full.png") == before
    assert row(path, "Image/same.png")["status"] == "uploaded"


def test_an_asset_without_a_rid_gets_one(path, workspace):
    change(path, "UPDATE execution_state__assets SET rid = NULL, error = 'lost'")

    assert workspace.write_back(RID, {"Image/full.png": "1-NEW"}, NOW) == {}
    assert row(path, "Image/full.png")["rid"] == "1-NEW"
    assert row(path, "Image/full.png")["error"] is None


def test_deriva_ml_goes_first_when_both_write(path, workspace):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")

        with pytest.raises(TransientError, match="database is locked"):
            workspace.write_back(RID, {"Image/full.png": "4XT"}, NOW)

    assert workspace.write_back(RID, {"Image/full.png": "4XT"}, NOW) == {}


def test_the_status_is_moved_in_the_steps_of_deriva_ml(path, workspace):
    time = "2026-01-02 03:04:05.000678"

    assert workspace.set_status(RID, "Pending_Upload", "Uploaded", sync_pending=True, now=NOW)
    assert execution(path) == ("Uploaded", 1, time)

    assert workspace.set_status(RID, "Uploaded", "Uploaded", sync_pending=False, now=NOW)
    assert execution(path) == ("Uploaded", 0, time)


def test_a_status_that_somebody_moved_is_left_alone(path, workspace):
    before = execution(path)

    assert not workspace.set_status(RID, "Stopped", "Uploaded", sync_pending=True, now=NOW)
    assert execution(path) == before


def put(path, *records):
    """Put feature records of (execution, table, values, status) into the workspace."""
    for rid, table, values, status in records:
        change(
            path,
            "INSERT INTO execution_state__feature_records"
            " (execution_rid, feature_table, feature_name, target_table, record_json, created_at,"
            f" status) VALUES ('{rid}', '{table}', 'Quality', 'Image', '{values}', '', '{status}')",
        )


def test_feature_records_come_in_their_order_by_table(path, workspace):
    put(
        path,
        (RID, "demo.A", '{"Image": "1"}', "uploaded"),
        (RID, "demo.B", "{}", "pending"),
        ("other", "demo.A", "{}", "pending"),
        (RID, "demo.A", '{"Image": "2", "RCT": null}', "failed"),
    )

    found = workspace.features(RID)

    assert {table: [(r.values, r.recorded) for r in found[table]] for table in found} == {
        "demo.A": [({"Image": "1"}, True), ({"Image": "2", "RCT": None}, False)],
        "demo.B": [({}, False)],
    }
    assert {record.feature for record in found["demo.A"]} == {"Quality"}


def test_a_feature_record_that_is_no_object_is_a_database_we_do_not_know(path, workspace):
    put(path, (RID, "demo.A", "[]", "pending"))

    with pytest.raises(RefusedError, match="feature record"):
        workspace.features(RID)


def test_feature_records_that_are_in_are_marked_once(path, workspace):
    put(path, *[(RID, "demo.A", "{}", status) for status in ("pending", "failed", "uploaded")])
    first, second, third = (record.stage for record in workspace.features(RID)["demo.A"])

    workspace.write_back(RID, {}, NOW, [first, third])

    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "SELECT stage_id, status, uploaded_at FROM execution_state__feature_records"
        ).fetchall()
    assert rows == [
        (first, "uploaded", NOW.isoformat()),
        (second, "failed", None),
        (third, "uploaded", None),
    ]


def test_a_workspace_of_a_version_without_rows_has_none(path, workspace):
    change(path, "DROP TABLE execution_state__feature_records")
    change(path, "DROP TABLE IF EXISTS execution_state__pending_rows")

    assert workspace.features(RID) == {}
    assert workspace.pending_rows(RID) == 0
