"""`deriva-watch check`: everything that can be wrong, each by its real cause."""

import json
import os
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deriva_watch.checks import host
from deriva_watch.cli import main
from deriva_watch.core.bulk_spec import bulk_upload_configuration
from deriva_watch.core.clocks import apart_s
from deriva_watch.core.model import read_model
from deriva_watch.edges.inotify_limits import Usage
from deriva_watch.edges.journal import Journal
from deriva_watch.sandbox import starter
from running import Api, sandbox, write_config


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("sandbox")) as said:
        yield said


@pytest.fixture
def tell(capfd, monkeypatch, tmp_path, ready):
    """Run the command here; return its status and what it printed."""

    def run_here(prefix, *arguments, at=ready, who="owner", **sections):
        config = write_config(tmp_path / "settings", at, prefix, who=who, **sections)
        monkeypatch.setattr("sys.argv", ["deriva-watch", "check", "-c", str(config), *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code), capfd.readouterr().out

    return run_here


@pytest.fixture
def found(tell):
    """Run the command for programs; return its status and the lines by what they are about."""

    def run_here(prefix, **options):
        status, said = tell(prefix, "--json", **options)
        return status, {each["about"]: each for each in json.loads(said)["checks"]}

    return run_here


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data/deriva-ml/execution/1-A/assets").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "settings/state"


def test_a_root_has_one_line_with_everything_about_it(tell, data):
    (data / "catalogs/example.org__7/working").mkdir(parents=True)
    (data / "catalogs/example.org__7/working/main.db").touch()

    status, said = tell(data, files={"allowed_link_roots": ["/raw"]})

    assert status == 0, said
    line = next(line for line in said.splitlines() if f"root {data}" in line)
    assert line.startswith(f"  ✓ root {data}: ")
    for part in (
        "native because a try showed that events arrive",
        "3 if all in it were filling",
        "example.org catalog 7",
        f"into {data}, /raw",
    ):
        assert part in line
    assert re.search("times to [0-9.e-]+ s", line)
    assert {path.name for path in (data / "deriva-ml/execution").iterdir()} == {"1-A"}


def test_programs_get_the_same_facts(tell, data):
    status, said = tell(data, "--json")

    document = json.loads(said)
    assert status == 0
    assert document["good"] is True
    lines = {each["about"]: each["facts"] for each in document["checks"]}
    root, limits, writers = lines[f"root {data}"], lines["inotify"], lines["open writers"]
    assert (root["observer"], root["watches_needed"], root["folders"]) == ("native", 1, 3)
    assert root["links_into"] == [str(data)]
    assert 0 <= limits["used"] < limits["limit"]
    assert writers["method"] in {"proc", "lease", "unknown"}


@pytest.mark.parametrize(
    ("prefix", "why"), [("missing", "there is no"), ("none-*", "no folder matches it")]
)
def test_a_root_that_is_in_the_way_is_said_with_its_remedy(tell, tmp_path, prefix, why):
    status, said = tell(tmp_path / prefix)

    what = f"  ✗ root {tmp_path / prefix}: cannot be watched"
    place = said.splitlines().index(what)
    assert status == 2
    assert why in said.splitlines()[place + 1]
    assert said.splitlines()[place + 2].strip()


def test_a_drop_folder_has_a_line_of_its_own(tell, data, tmp_path, monkeypatch):
    (tmp_path / "scanner").mkdir()
    drop = [{"path": f"{tmp_path}/scanner", "table": "Image", "pattern": ".*"}]
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps(drop))

    _, said = tell(data)

    assert f"  ✓ drop folder {tmp_path}/scanner: " in said
    assert list((tmp_path / "scanner").iterdir()) == []


def test_watches_that_run_out_are_told_with_the_command_that_raises_them(tell, data, monkeypatch):
    monkeypatch.setattr(host.inotify_limits, "watches", lambda: Usage(80, 100))

    status, said = tell(data)

    assert status == 2
    assert "✗ inotify: 80 of 100 watches" in said
    assert "sysctl -w fs.inotify.max_user_watches=" in said


# ---------------------------------------------------------------------- credential and server


def test_a_credential_says_where_it_comes_from_and_when_it_ends(found, data, ready):
    status, lines = found(data)

    assert status == 0
    assert lines["credential"]["facts"]["origin"] == "named"
    assert ready["owner_credential_file"] in lines["credential"]["what"]
    ends = datetime.fromisoformat(lines["login"]["facts"]["expires_at"])
    assert timedelta(days=29) < ends - datetime.now(UTC) < timedelta(days=31)


def test_a_missing_credential_leaves_what_needs_none_to_be_looked_at(found, data):
    status, lines = found(data, server={"credential_file": "/nowhere/credential.json"})

    assert status == 2
    assert lines["credential"]["verdict"] == "wrong"
    assert lines["server"]["verdict"] == lines[f"root {data}"]["verdict"] == "good"
    assert lines["login"]["verdict"] == "wrong"


def test_a_credential_that_everyone_can_read_is_wrong(found, data, tmp_path, ready):
    file = tmp_path / "credential.json"
    file.write_bytes(Path(ready["owner_credential_file"]).read_bytes())
    file.chmod(0o644)

    status, lines = found(data, server={"credential_file": str(file)})

    assert status == 2
    assert f"chmod 600 {file}" in lines["credential"]["next"]


def test_a_server_that_is_away_is_told_once_and_hides_nothing(found, data, tmp_path):
    file = tmp_path / "credential.json"
    file.write_text('{"127.0.0.1:1": {"bearer-token": "any"}}')
    file.chmod(0o600)

    status, lines = found(data, server={"host": "127.0.0.1:1", "credential_file": str(file)})

    assert status == 10
    assert [about for about, each in lines.items() if each["verdict"] == "away"] == ["server"]
    assert lines["login"]["verdict"] == lines["clock"]["verdict"] == "unseen"
    assert lines["open writers"]["good"]


def test_a_session_that_ended_is_said_with_how_to_log_in(found, data, tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text('[{"action": "expire", "route": "/authn/session"}]')
    with sandbox(tmp_path / "expiring", faults=faults) as expiring:
        status, lines = found(data, at=expiring)

    assert status == 2
    assert "deriva-globus-auth-utils login" in lines["login"]["next"]


@pytest.mark.parametrize(
    ("theirs_s", "apart"),
    [(0, 0), (-1, 0), (100, 99), (-100, -99), (2, 1)],
)
def test_clocks_are_apart_by_what_an_answer_cannot_explain(theirs_s, apart):
    """They are asked at 10.0 and answer by 11.0; their answer is cut to a second."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    sent_at, received_at = now + timedelta(seconds=10), now + timedelta(seconds=11)

    assert apart_s(now + timedelta(seconds=10 + theirs_s), sent_at, received_at) == apart


# ---------------------------------------------------------------------- catalog


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A catalog without terms, whose writer may neither insert images nor lease RIDs."""
    folder = tmp_path_factory.mktemp("strict")
    document = json.loads(starter.schema_text())
    document["schemas"]["demo"]["tables"]["Image"]["acls"] = {"insert": []}
    document["schemas"]["public"]["tables"]["ERMrest_RID_Lease"]["acls"] = {"insert": []}
    (folder / "schema.json").write_text(json.dumps(document))
    with sandbox(folder / "data", schema=folder / "schema.json") as said:
        yield said


def test_an_ordinary_writer_has_all_that_is_needed(found, data):
    status, lines = found(data, who="writer")

    assert status == 0
    assert lines["rights on files"]["verdict"] == "good"
    assert lines["rights on public:ERMrest_RID_Lease"]["verdict"] == "good"
    assert lines["bulk spec"]["verdict"] == lines["namespaces"]["verdict"] == "good"
    assert lines["rights on deriva-ml:Execution"]["verdict"] == "note"  # it may not update


def test_an_owner_needs_no_right_of_its_own(found, data, strict):
    _, lines = found(data, at=strict)

    assert lines["rights on files"]["verdict"] == "good"
    assert lines["rights on public:ERMrest_RID_Lease"]["verdict"] == "good"


def test_rights_that_are_missing_are_named(found, data, strict):
    status, lines = found(data, at=strict, who="writer")

    assert status == 2
    files = lines["rights on files"]
    assert files["verdict"] == "note"  # the other tables can be used
    assert files["why"] == "we lack: insert demo:Image"
    assert lines["rights on public:ERMrest_RID_Lease"]["verdict"] == "wrong"


def test_a_right_that_a_drop_folder_needs_is_in_the_way(found, data, strict, tmp_path, monkeypatch):
    (tmp_path / "scanner").mkdir()
    drop = [{"path": f"{tmp_path}/scanner", "table": "Image", "pattern": ".*"}]
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps(drop))

    _, lines = found(data, at=strict, who="writer")

    assert lines["rights on files"]["verdict"] == "wrong"
    assert "demo:Image, which the settings name" in lines["rights on files"]["what"]


def test_terms_that_are_missing_are_named_with_what_comes_of_it(found, data, strict):
    _, lines = found(data, at=strict)

    assert lines["terms of deriva-ml:Asset_Role"]["verdict"] == "wrong"
    assert "Output is missing" in lines["terms of deriva-ml:Asset_Role"]["what"]
    assert lines["terms of deriva-ml:Execution_Status"]["verdict"] == "note"
    assert lines["terms of deriva-ml:Asset_Type"]["verdict"] == "note"


def test_a_catalog_that_we_may_not_enter_is_told(found, data, tmp_path):
    with sandbox(tmp_path / "closed") as closed:
        owner = Api(closed)
        owner.call("PUT", f"{owner.catalog}/acl/enumerate", json=[])
        status, lines = found(data, at=closed, who="writer")

    assert status == 2
    assert "does not let sandbox-writer" in lines["catalog"]["why"]
    assert lines["bulk spec"]["verdict"] == "unseen"
    assert lines["bulk spec"]["why"] == "the catalog cannot be read"


def test_a_spec_that_does_not_fit_the_catalog_hides_nothing(found, data, tmp_path):
    spec = {"asset_mappings": [{"asset_type": "file", "file_pattern": "(", "column_map": {}}]}
    (tmp_path / "spec.json").write_text(json.dumps(spec))

    status, lines = found(data, spec={"source": "file", "file": str(tmp_path / "spec.json")})

    assert status == 2
    assert "asset_mappings[0]" in lines["bulk spec"]["why"]
    assert lines["rights on files"]["good"]


def test_a_drop_folder_that_does_not_fit_the_catalog_names_the_key(
    found, data, tmp_path, monkeypatch
):
    (tmp_path / "scanner").mkdir()
    drop = [{"path": f"{tmp_path}/scanner", "table": "Imaeg", "pattern": ".*"}]
    monkeypatch.setenv("DERIVA_WATCH_DROP", json.dumps(drop))

    status, lines = found(data)

    assert status == 2
    line = lines[f"[[drop]] {tmp_path}/scanner"]
    assert "table:" in line["why"]
    assert "Image" in line["why"]


def test_a_namespace_that_is_not_there_is_told_before_the_first_file(found, data, tmp_path):
    document = bulk_upload_configuration(read_model(json.loads(starter.schema_text())))
    mapping = document["asset_mappings"][0]
    mapping["hatrac_templates"]["hatrac_uri"] = "/hatrac/new/place/{md5}.{file_name}"
    (tmp_path / "spec.json").write_text(json.dumps({"asset_mappings": [mapping]}))

    status, lines = found(data, spec={"source": "file", "file": str(tmp_path / "spec.json")})

    assert status == 0
    assert lines["namespaces"]["verdict"] == "note"
    assert lines["namespaces"]["facts"]["status"] == {"/hatrac/new/place": 404}


# ---------------------------------------------------------------------- journal


def test_a_journal_that_is_damaged_is_told(found, data, state):
    Journal.open(f"sqlite:///{state}/journal.db", emit=lambda _: None).close()
    with (state / "journal.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)

    status, lines = found(data)

    assert status == 2
    assert "damaged" in lines["journal"]["why"]


def test_a_journal_of_a_newer_release_is_told(found, data, state):
    Journal.open(f"sqlite:///{state}/journal.db", emit=lambda _: None).close()
    with sqlite3.connect(state / "journal.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    status, lines = found(data)

    assert status == 2
    assert "newer deriva-watch" in lines["journal"]["why"]


def test_a_journal_in_use_is_sound_and_names_its_daemon(found, data, state):
    with Journal.open(f"sqlite:///{state}/journal.db", emit=lambda _: None):
        status, lines = found(data)

    line = lines[f"journal {state}/journal.db"]
    assert status == 0
    assert line["facts"]["held_by"] == os.getpid()


def test_no_journal_yet_is_no_trouble(found, data, state):
    status, lines = found(data)

    assert status == 0
    assert lines[f"journal {state}/journal.db"]["facts"]["revision"] is None
    assert not state.exists()
