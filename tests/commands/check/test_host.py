"""`deriva-watch check`: settings, host, credential and server, each by its real cause."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from deriva_watch.commands.check import Line, Verdict, host
from deriva_watch.commands.check.clock_skew import apart_s
from deriva_watch.commands.check.server import login
from deriva_watch.core.completeness.observation import HolderMethod
from deriva_watch.core.errors import RefusedError, ServerAwayError
from deriva_watch.edges.server.deriva import Session
from deriva_watch.edges.watching.inotify_limits import WatchUsage
from faketime import another_time
from running import command, sandbox, write_config


def test_settings_that_cannot_be_used_have_a_line_for_each_mistake(found, data):
    status, lines = found(data, retry={"initial_s": "soon"})

    assert status == 2
    assert "retry.initial_s" in lines["settings"]["what"]
    assert lines["settings"]["verdict"] == "wrong"
    assert lines["all else"]["verdict"] == "unseen"


def test_settings_that_everyone_can_change_are_wrong(found, data, tmp_path, ready):
    config = write_config(tmp_path / "settings", ready, data)
    config.chmod(0o666)  # what is there keeps its mode

    status, lines = found(data)

    assert status == 2
    assert lines["settings"]["next"] == f"chmod o-w {config}"


def test_a_root_has_one_line_and_everything_about_it_on_request(tell, data):
    (data / "catalogs/example.org__7/working").mkdir(parents=True)
    (data / "catalogs/example.org__7/working/main.db").touch()

    shown = tell(data, files={"allowed_link_roots": ["/raw"]})[1]
    status, said = tell(data, "--verbose", files={"allowed_link_roots": ["/raw"]})

    assert status == 0, said
    line = next(line for line in said.splitlines() if f"root {data}" in line)
    assert line.startswith(f"  ✓ root {data}: ")
    assert line.endswith("inotify works (tested)")
    assert line in shown
    assert "observer native" not in shown
    for part in (
        "observer native: a test showed that events arrive",
        "3 if all its executions were incomplete",
        "example.org catalog 7",
        f"into {data}, /raw",
    ):
        assert part in said
    assert re.search("file times are kept to [0-9.e-]+ s", said)
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


def test_a_drop_folder_has_a_line_of_its_own(tell, data, scanner):
    folder = scanner("Image")

    _, said = tell(data)

    assert f"  ✓ drop folder {folder}: " in said
    assert list(folder.iterdir()) == []


def test_executions_below_a_link_to_the_folder_of_the_journal_are_told(found, data, tmp_path):
    state = tmp_path / "settings/state"
    (state / "scratch").mkdir(parents=True)
    (data / "deriva-ml").rename(state / "scratch/deriva-ml")
    (data / "deriva-ml").symlink_to(state / "scratch/deriva-ml")

    status, lines = found(data, files={"allowed_link_roots": [str(state)]})

    line = lines[f"names in {data}"]
    assert (status, line["verdict"]) == (2, "wrong")
    assert f"below {state}, the folder of the journal" in line["why"]
    assert line["next"].startswith("Set [journal] url to a file in a folder of its own")


def test_a_link_in_the_place_of_the_executions_that_leaves_the_prefix_is_told(
    found, data, tmp_path
):
    (data / "deriva-ml").rename(tmp_path / "scratch")
    (data / "deriva-ml").symlink_to(tmp_path / "scratch")

    status, lines = found(data)

    line = lines[f"names in {data}"]
    assert (status, line["verdict"]) == (2, "wrong")
    assert "outside the prefix" in line["why"]
    assert "allowed_link_roots" in line["next"]
    status, lines = found(data, files={"allowed_link_roots": [str(tmp_path / "scratch")]})
    assert status == 0
    assert f"names in {data}" not in lines


def test_names_that_are_not_uploaded_and_names_left_out_on_purpose_are_listed(tell, found, data):
    executions = data / "deriva-ml/execution"
    odd = executions / os.fsdecode(b"M\xfcller.txt")
    for stray in (executions / "stray.txt", odd):
        stray.touch()
    (executions / "#recycle").mkdir()
    (data / "deriva-ml/results").mkdir()

    status, lines = found(data)
    told = tell(data, "--verbose")[1]

    line = lines[f"names in {data}"]
    assert (status, line["verdict"]) == (0, "note")
    assert set(line["facts"]["not_uploaded"]) == {
        f"{executions}/M\\udcfcller.txt",
        str(executions / "stray.txt"),
        str(data / "deriva-ml/results"),
    }
    assert set(line["facts"]["ignored"]) == {str(executions / "#recycle")}
    assert f"{executions / '#recycle'}: it is a system folder or file of Synology DSM" in told
    assert f"{executions / 'stray.txt'}: it is not a directory" in told
    assert "ller.txt: it is not a directory" in told


def test_directories_that_newer_than_leaves_alone_are_listed(tell, data, monkeypatch):
    (data / "deriva-ml/execution/1-B").mkdir()
    watch = [{"prefix": str(data), "newer_than": "2999-01-01T00:00:00Z"}]
    monkeypatch.setenv("DERIVA_WATCH_WATCH", json.dumps(watch))

    _, told = tell(data, "--verbose")

    assert f"✓ names in {data}: 2 names left out on purpose" in told
    assert re.search(r"execution/1-B: it last changed \d{4}-\d\d-\d\d, before newer_than", told)


def test_an_account_that_cannot_see_the_writers_of_others_is_told_what_to_do(
    found, data, monkeypatch
):
    monkeypatch.setattr(host.open_files, "method", lambda: HolderMethod.UNKNOWN)

    status, lines = found(data)

    assert status == 0
    assert lines["open writers"]["verdict"] == "note"
    assert "CAP_LEASE" in lines["open writers"]["next"]


def test_lines_go_where_the_output_goes_though_a_person_looks_on(data, tmp_path, ready):
    """What waits is shown on the terminal; rich takes over the output while it does."""
    line = [sys.executable, "-m", "deriva_watch", "check", "-c"]
    line += [str(write_config(tmp_path, ready, data))]
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours):
        done = subprocess.run(
            line, stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=60, check=False
        )

    assert done.returncode == 0
    assert "  ✓ server: " in done.stdout
    assert "  ✓ status page: " in done.stdout
    assert "checking" not in done.stdout


def test_watches_that_run_out_are_told_with_the_command_that_raises_them(tell, data, monkeypatch):
    monkeypatch.setattr(host.inotify_limits, "watch_usage", lambda: WatchUsage(80, 100))

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


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ServerAwayError("cannot reach h", "h does not answer"), Verdict.AWAY),
        (ServerAwayError("cannot reach h", "its certificate", "Name ca_bundle."), Verdict.WRONG),
        (RefusedError("cannot read", "it may not be", "Ask."), Verdict.WRONG),
    ],
)
def test_what_passes_by_itself_is_no_mistake_of_anybody(error, verdict):
    assert Line.of("server", error).verdict is verdict


def test_a_server_of_another_kind_is_told(found, data, tmp_path):
    faults = tmp_path / "faults.json"
    faults.write_text('[{"action": "status", "route": "/ermrest/$", "status": 404}]')
    with sandbox(tmp_path / "other", faults=faults) as other:
        status, lines = found(data, at=other)

    assert status == 2
    assert lines["server"]["what"] == f"{other['host']} is not a Deriva server"


@pytest.mark.parametrize(("shift", "side"), [("+2h", "ahead of"), ("-2h", "behind")])
def test_a_clock_that_is_wrong_is_told(data, tmp_path, ready, shift, side):
    config = write_config(tmp_path, ready, data)

    done = command(config, "check", "--json", through=another_time(FAKETIME=shift))

    (line,) = (each for each in json.loads(done.stdout)["checks"] if each["about"] == "clock")
    assert done.returncode == 2
    assert f"{side} {ready['host']}" in line["what"]
    assert abs(line["facts"]["skew_s"]) == pytest.approx(7200, abs=5)


@pytest.mark.parametrize(
    ("left_s", "renews", "cookie", "verdict"),
    [
        (30 * 86400, False, False, Verdict.GOOD),
        (86400, False, False, Verdict.NOTE),
        (86400, True, False, Verdict.GOOD),
        (86400, False, True, Verdict.GOOD),  # the daemon extends it
        (600, False, False, Verdict.WRONG),
        (600, True, False, Verdict.WRONG),  # deriva should have renewed it by now
        (None, False, False, Verdict.GOOD),
    ],
)
def test_a_session_that_ends_soon_is_told(left_s, renews, cookie, verdict):
    server = SimpleNamespace(
        host="h", session=lambda: Session("dana", "dana", left_s), uses_cookie=cookie
    )
    source = SimpleNamespace(renews_itself=lambda: renews)

    (line,) = login(SimpleNamespace(server=server, source=source))

    assert line.verdict is verdict
