import io
import json
import re
import shutil
import subprocess
import sys
import time

import pytest
import requests
from rich.console import Console

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.model import read_model
from deriva_watch.demo.check import Inventory, compare
from deriva_watch.demo.executions import BATCH, executions, scanner, sequencer
from deriva_watch.demo.play import Folder, Outcome, look, play
from deriva_watch.demo.screen import picture, render, screen
from deriva_watch.demo.server import Server
from deriva_watch.demo.writer import Run
from running import sandbox


def command(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "deriva_watch", *words],
        capture_output=True, text=True, timeout=150, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo that was played as a person would: its folder, and what the command said."""
    root = tmp_path_factory.mktemp("demo") / "folder"
    return Folder(root), command("demo", "--json", "--data", str(root))


def test_a_demo_ends_with_one_verified_line(demo):
    """Twelve files in three executions, one of them the same in two; twelve of instruments."""
    _, done = demo

    outcome = json.loads(done.stdout)

    failed = [check for check in outcome["checks"] if not check["passed"]]
    assert failed == []
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    wanted = {"executions": 5, "files": 24, "objects": 23, "rows": 23, "links": 48}
    assert wanted == {name: outcome[name] for name in wanted}
    assert outcome["verified"] is True
    assert 60_000_000 < outcome["bytes"] < 100_000_000
    assert outcome["seconds"] > 5


def test_its_folder_answers_questions_afterwards(demo):
    """`cd FOLDER; deriva-watch status` finds the settings, and no daemon is left."""
    folder, _ = demo

    status = json.loads(command("status", "--json", cwd=folder.root).stdout)

    assert status["daemon"] is None
    assert status["executions"]["uploaded"] == 5
    assert status["files"]["linked"] == 24


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    """Nothing in it is touched."""
    (tmp_path / "thesis.tex").touch()

    done = command("demo", "--data", str(tmp_path))

    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert [tmp_path / "thesis.tex"] == list(tmp_path.iterdir())


def test_a_daemon_that_dies_is_told_with_the_end_of_its_log(tmp_path):
    """Its journal cannot be made, because a file is where the folder should be."""
    (tmp_path / "state").touch()

    with pytest.raises(TroubleError, match=r"the daemon ended with status 2: .*journal"):
        play(Folder(tmp_path), lambda _: None)


def test_a_demo_that_is_stopped_leaves_no_process_behind(tmp_path):
    """Neither daemon nor server; the exit status is that of the signal."""
    words = [sys.executable, "-m", "deriva_watch", "demo", "--data", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (log := tmp_path / "daemon.log").exists() or "watched" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.1)
        process.terminate()

    assert process.returncode == 143
    ended = json.loads(log.read_text().splitlines()[-1])
    assert ended["event"] == "daemon.stopped"
    (host,) = json.loads((tmp_path / "sandbox" / "owner-credential.json").read_text())
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{host}/ermrest", timeout=5)


def test_an_execution_is_shown_before_the_journal_knows_it(tmp_path, capsys):
    """Without a journal, and in a pipe: once, as filling."""
    run = Run(executions()[0], "1-RUN", tmp_path, None)

    (view,) = look(f"sqlite:///{tmp_path}/journal.db", [run])
    with screen(Folder(tmp_path), silent=False) as show:
        show([view])
        show([view])

    assert (view.name, view.state, view.why) == ("1-RUN", "filling", "")
    told = capsys.readouterr().err
    assert re.fullmatch(r" +\d\.\d s  filling    1-RUN analysis, older than the daemon\n", told)


def test_what_an_instrument_drops_is_one_line_with_all_its_files(tmp_path):
    """The batch has no name yet; the journal does not know it before it is closed."""
    run = Run(scanner(), BATCH, tmp_path, None)
    console = Console(file=io.StringIO(), width=80)

    folder = Folder(tmp_path)
    console.print(picture(folder, look(folder.journal_url, [run])))

    shown = console.file.getvalue()
    assert re.search(r"^batch- +scanner, a batch of DICOM images +5 files", shown)
    assert "IM-0001.dcm" not in shown


def test_the_journal_knows_a_batch_by_a_name_that_is_longer(tmp_path):
    """The name of a run, and of an execution, must be the same."""
    batch = Run(scanner(), BATCH, tmp_path / "scanner", None)
    run = Run(sequencer(), "run-1", tmp_path / "sequencer", None)

    assert batch.is_unit(f"{tmp_path}/scanner", "batch-20260302T090000Z")
    assert not batch.is_unit(f"{tmp_path}/microscope", "batch-20260302T090000Z")
    assert run.is_unit(f"{tmp_path}/sequencer", "run-1")
    assert not run.is_unit(f"{tmp_path}/sequencer", "run-12")


def test_a_failed_check_is_shown_with_what_it_found(tmp_path):
    run = Run(executions()[0], "1-RUN", tmp_path / "data", None)
    check = compare("executions", "links", [("a.png", "1-RUN")], [])
    figures = {"executions": 1, "files": 1, "bytes": 3, "objects": 1, "rows": 1, "links": 0}

    said = render(Folder(tmp_path), Outcome(figures, (check,), (run,), 1.0, "127.0.0.1:1")).plain

    assert "Not verified!" in said
    assert "found 0; missing: a.png 1-RUN" in said


# ------------------------------------------------------------------ what the check finds


class Altered:
    """A copy of the demo's server and executions, served again, with a hand in it."""

    def __init__(self, folder, ready):
        self.folder = folder
        self.server = Server(ready)
        self.http = self.server._session
        self.catalog = self.server._catalog

    def runs(self):
        """Return the executions, as long as their files on disk are what was written."""
        model = read_model(self.server.schema())
        rids = {row["Description"]: row["RID"] for row in self.server.rows("deriva-ml:Execution")}
        runs = [
            Run(each, each.unit or rids[each.title], self.folder.root / each.folder, model)
            for each in executions()
        ]
        for run in runs:
            for file in run.execution.files:
                assert run.path(file).read_bytes() == file.data
        return runs

    def failed(self, runs=None):
        """Return the names of the checks that do not pass, with what they found."""
        inventory = Inventory(self.server, runs or self.runs())
        checks = inventory.checks(self.folder.receipts)
        return {check.name: check.found for check in checks if not check.passed}

    def delete(self, path):
        """Delete rows."""
        self.http.delete(f"{self.catalog}/entity/{path}").raise_for_status()

    def update(self, table, column, rid, value):
        """Set a column of a row."""
        url = f"{self.catalog}/attributegroup/{table}/RID;{column}"
        self.http.put(url, json=[{"RID": rid, column: value}]).raise_for_status()

    def first(self, table):
        """Return the first row of a table."""
        return self.server.rows(table)[0]


@pytest.fixture
def altered(demo, tmp_path):
    """The demo's folder, copied; its server runs again."""
    folder = Folder(tmp_path / "folder")
    shutil.copytree(demo[0].root, folder.root)
    with sandbox(folder.sandbox) as ready:
        yield Altered(folder, ready)


def test_a_demo_can_be_checked_again(altered):
    assert altered.failed() == {}


def test_everything_that_is_tampered_with_is_named_by_its_own_check(altered):
    """One link, type, value, status, version, byte, receipt and row each."""
    http, server, folder = altered.http, altered.server, altered.folder
    runs, image = altered.runs(), altered.first("demo:Image")
    link = altered.first("demo:Image_Execution")
    kind = altered.first("deriva-ml:Execution_Asset_Asset_Type")
    name = image["URL"].rpartition(":")[0]
    model = max(folder.sandbox.rglob("*"), key=lambda path: path.stat().st_size)
    receipt = runs[1].root / "deriva-watch-receipt.json"

    altered.delete(f"demo:Image_Execution/RID={link['RID']}")
    altered.delete(f"deriva-ml:Execution_Asset_Asset_Type/RID={kind['RID']}")
    altered.update("demo:Image", "Acquisition_Date", image["RID"], "1999-12-31")
    altered.update("deriva-ml:Execution", "Status", runs[0].rid, "Stopped")
    http.put(server.url + name, data=b"another version").raise_for_status()
    with model.open("r+b") as stored:
        stored.write(b"other bytes")
    receipt.write_text(receipt.read_text().replace('"rid": "1-', '"rid": "2-', 1))
    server.insert("demo:Subject", [{"Name": "stray"}])

    failed = altered.failed(runs)
    missing = rf"missing: demo:Image scan_01.png \(\w{{8}}\) {link['Execution']} Output"
    assert re.search(missing, failed["executions"])
    assert f"{kind['Asset_Type']}" in failed["asset types"]
    assert "Acquisition_Date=1999-12-31" in failed["rows"]
    assert f"missing: {runs[0].rid} 1-W001 Uploaded" in failed["status"]
    assert f"not expected: {name}" in failed["objects"]
    assert "missing: model.v2.pt" in failed["contents"]
    assert " 2-" in failed["receipts"]
    assert "not expected: demo:Subject" in failed["other tables"]
    assert "manifests" not in failed
