"""What describes a unit, and whether it counts: files and workspaces of several users."""

import json
import os
import pwd
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deriva_watch.commands.verify_targets import VerifyTargets
from deriva_watch.core.completeness.observation import RECEIPT_NAME
from deriva_watch.core.errors import RefusedError, TransientError, TroubleError
from deriva_watch.core.layout import TABLES
from deriva_watch.pipeline.ownership import check_ours, workspace_of
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings
from running import write_files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make files of other users")

ALICE, BOB = 20_001, 20_002
SAMPLE = Path(__file__).parents[1] / "data/workspace/images.db"
RID = "4X8"
ENTRY = {"asset_table": "Image", "schema": "demo", "description": "by Bob"}
MANIFEST = json.dumps({"version": 1, "assets": {"Image/a.png": ENTRY}})


def own(path, user):
    for each in (path, *path.rglob("*")):
        os.chown(each, user, user)


@pytest.fixture
def prefix(tmp_path):
    """A prefix with an execution of Alice, in which Bob wrote the manifest, and his workspace."""
    prefix = tmp_path / "users/alice"
    root = write_files(prefix / "deriva-ml/execution" / RID, {"assets/Image/a.png": "a"})
    own(root, ALICE)
    write_files(root, {"asset-manifest.json": MANIFEST})
    os.chown(root / "asset-manifest.json", BOB, BOB)
    add_workspace(prefix, "data.example.org__15")
    return prefix


def add_workspace(prefix, name):
    path = prefix / "catalogs" / name / "working/main.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(SAMPLE, path)
    own(path.parents[1], BOB)
    return path


def settings(prefix, **watch):
    return Settings(
        server={"host": "data.example.org", "catalog": "15"},
        watch=[{"prefix": prefix, **watch}],
        journal={"url": f"sqlite:///{prefix.parents[1]}/state/journal.db"},
    )


def said(prefix, trusting):
    """Return what describes the execution: the manifest, the workspace, notices."""
    reader = UnitReader.of(trusting)
    unit = trusting.unit(prefix, RID)
    sources = reader.sources(unit, reader.look(unit))
    return sources.manifest, sources.workspace, sources.notices


@pytest.mark.parametrize("pattern", [False, True])
def test_a_trusted_owner_counts_for_everybody_below_that_prefix(prefix, pattern):
    named = prefix.parent / "*" if pattern else prefix
    manifest, workspace, notices = said(prefix, settings(named, trusted_owners=[BOB]))

    assert manifest.entries["Image/a.png"].description == "by Bob"
    assert "Image/linked.png" in workspace
    assert notices == {}


def test_a_look_reads_only_what_names_files(prefix):
    trusting = settings(prefix, trusted_owners=[BOB])
    unit, reader = trusting.unit(prefix, RID), UnitReader.of(trusting)
    write_files(unit.root, {"asset-type/demo/Image.jsonl": '{"a.png": ["T"]}'})
    own(unit.root, ALICE)
    seen = reader.look(unit)

    everything, names = (reader.sources(unit, seen, names_only=only) for only in (False, True))

    assert everything.types
    assert not names.types
    assert (names.manifest, names.workspace) == (everything.manifest, everything.workspace)


@pytest.mark.parametrize("watched", ["alice", "bob"])
def test_any_other_counts_for_own_data_alone(prefix, watched):
    trusted = {} if watched == "alice" else {"trusted_owners": [BOB]}
    manifest, workspace, notices = said(prefix, settings(prefix.with_name(watched), **trusted))

    assert (manifest, workspace) == (None, {})
    assert notices == {
        "deriva-ml's workspaces": "catalogs/data.example.org__15/working/main.db: it does not "
        f"count: user {BOB} owns it, and user {ALICE} the folder that it is about"
    }


def test_many_that_do_not_count_make_one_short_notice(prefix):
    for number in range(200):
        add_workspace(prefix, f"{number:03}.example.org__1")

    _, _, notices = said(prefix, settings(prefix))

    (why,) = notices.values()
    assert "002.example.org__1/working/main.db and 198 more: it does not count" in why


def test_an_account_is_named_or_numbered():
    user = pwd.getpwuid(0).pw_name

    assert settings(Path("/a/b/c"), trusted_owners=[user, 7]).watch[0].trusted_owners == (0, 7)


def test_a_receipt_that_does_not_count_is_named_where_no_other_is_found(prefix):
    root = prefix / "deriva-ml/execution" / RID
    write_files(root, {RECEIPT_NAME: "{}"})
    os.chown(root / RECEIPT_NAME, BOB, BOB)
    targets = VerifyTargets(UnitReader.of(settings(prefix)), None, "data.example.org/15")

    with pytest.raises(TroubleError, match="neither the journal nor a receipt") as raised:
        targets.named([RID])

    assert f"{RECEIPT_NAME}: it does not count: user {BOB} owns it" in raised.value.why


def test_tables_of_alice_are_not_refused_for_bobs_workspace(prefix):
    own_catalog = prefix / "catalogs/data.example.org__15"
    own_catalog.rename(own_catalog.with_name("evil.example.org__9"))
    trusting = settings(prefix, trusted_owners=[BOB])

    check_ours(settings(prefix).unit(prefix, TABLES), ALICE, settings(prefix), catalog=None)
    with pytest.raises(RefusedError, match="belong to evil"):
        check_ours(trusting.unit(prefix, TABLES), ALICE, trusting, catalog=None)


def test_one_that_counts_and_cannot_be_read_holds_up_those_for_whom_it_counts(prefix):
    path = prefix / "catalogs/data.example.org__15/working/main.db"
    path.write_bytes(b"no database" * 1000)
    rules = settings(prefix)

    assert workspace_of(rules.unit(prefix, RID), ALICE, rules) is None
    with pytest.raises(TransientError, match="not a database"):
        workspace_of(rules.unit(prefix, RID), BOB, rules)


def test_a_journal_of_bobs_beside_alices_database_does_not_count(prefix):
    """SQLite would write it into the database when it is opened."""
    path = prefix / "catalogs/data.example.org__15/working/main.db"
    own(path.parents[1], ALICE)
    rules = settings(prefix)
    assert workspace_of(rules.unit(prefix, RID), ALICE, rules)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE execution_state__executions SET status = 'Running'")
        os.chown(f"{path}-wal", BOB, BOB)

        assert workspace_of(rules.unit(prefix, RID), ALICE, rules) is None
