"""Rows without a key, after the journal that knew their RIDs was lost.

An ordinary writer's leases are used up by the rows, so that nothing but the receipt tells which
rows of the catalog are those of the file.
"""

import json
import os
import shutil
import time
import tracemalloc
from base64 import b64decode, b64encode
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from deriva_watch.core.changes import MoveExecution, NoteExecution
from deriva_watch.core.completeness.observation import RECEIPT_NAME, ROWS_NAME
from deriva_watch.core.records import BatchRecord
from deriva_watch.core.rows.table_files import RawRow
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.disk import own_files
from deriva_watch.edges.disk.row_receipt import RowReceipt
from deriva_watch.engine.rows import tables
from engine.rig import Crash, Lab, Power

WHO = ("owner", "writer")
VISITS = "table/demo/Observation/Observation.csv"
DAY_S = 24 * 60 * 60
SOAK = bool(os.environ.get("SOAK"))
CALLS = {
    "journal.commit": 9,
    "journal.submit": 2,
    "catalog.rows_with": 6,
    "catalog.lease": 1,
    "catalog.insert": 1,
}
MATRIX = [
    (name, number, after)
    for name, count in CALLS.items()
    for number in range(count)
    for after in (False, True)
]
# Most crashes come to nothing that has to be leased or inserted again.
SAMPLE = [case for case in MATRIX if case[0] not in {"catalog.lease", "catalog.insert"}][3::8]


class Scene(Lab):
    """An execution with a file of five rows without a key, and what the catalog has of it."""

    def __init__(self, folder, ready):
        super().__init__(folder, ready)
        self.subject = self.api.insert("demo:Subject", {"Name": f"of {self.rid}"})[0]["RID"]
        self.lines = [f"{self.subject},2026-02-0{day}" for day in range(1, 6)]
        self.lay()

    def lay(self):
        """Write the file, as an editor does."""
        (self.root / VISITS).unlink(missing_ok=True)
        text = "".join(f"{line}\n" for line in self.lines)
        self.write({VISITS: f"Subject,Observation_Date\n{text}"})

    @property
    def root(self):
        """The execution directory."""
        return self.folder / "data" / "deriva-ml" / "execution" / self.rid

    @property
    def copy(self):
        """The copy of the RIDs beside the files."""
        return self.root / ROWS_NAME

    @property
    def state(self):
        """Where the journal and the receipts are."""
        return self.folder / "state"

    def there(self):
        """Return the rows of the table that are this test's, as lines of the file."""
        rows = [row for row in self.api.rows("demo:Observation") if row["Subject"] == self.subject]
        return sorted(f"{row['Subject']},{row['Observation_Date']}" for row in rows)

    def rebuilt(self, who="writer", **options):
        """Take it through with the journal that there is; return where it stands, and the rig."""
        with self.rigged(who, **options) as rig:
            return rig.bring(), rig

    def uploaded(self, who="writer"):
        """Upload it; return the whole catalog as it then is."""
        record, _ = self.rebuilt(who)
        assert record.state == "uploaded", record.why
        assert self.there() == self.lines
        return self.api.tables()


def lose_state(scene):
    """The node lost its state directory."""
    shutil.rmtree(scene.state)


def lose_journal(scene):
    """The file was deleted, and nobody may write beside the files."""
    (scene.state / "journal.db").unlink()
    scene.copy.unlink()


def damage(scene):
    """The file is no database any more."""
    (scene.state / "journal.db").write_bytes(b"this is no database")


def forget(scene):
    """Nothing tells of the rows: the journal is damaged, and there are no receipts."""
    damage(scene)
    shutil.rmtree(scene.state / "receipts", ignore_errors=True)
    scene.copy.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two rows a batch, so that there are several."""
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)


@pytest.fixture
def scene(tmp_path, ready):
    return Scene(tmp_path, ready)


WAYS = [(who, lose) for lose in (lose_state, lose_journal, damage) for who in WHO]


@pytest.mark.parametrize(("who", "lose"), WAYS if SOAK else WAYS[1::2])
def test_a_receipt_tells_a_new_journal_which_rows_are_in(scene, who, lose):
    before = scene.uploaded(who)
    lose(scene)

    record, rig = scene.rebuilt(who)

    assert record.state == "uploaded", record.why
    assert scene.api.tables() == before
    assert rig.power.calls("catalog.insert") == []
    assert scene.files()[VISITS].rows == 5


def test_rows_that_were_appended_meanwhile_are_all_that_is_sent(scene):
    scene.uploaded()
    lose_state(scene)
    scene.lines.append(f"{scene.subject},2026-02-06")
    scene.lay()

    record, rig = scene.rebuilt()

    assert record.state == "uploaded", record.why
    assert scene.there() == scene.lines
    [call] = rig.power.calls("catalog.insert")
    assert len(call.arguments[1]) == 1


def test_a_row_that_was_changed_meanwhile_refuses_the_file(scene):
    """As with the journal that knew it."""
    before = scene.uploaded()
    lose_state(scene)
    scene.lines[2] = f"{scene.subject},2026-03-03"
    scene.lay()

    record, _ = scene.rebuilt()

    assert record.state == "refused"
    assert "line 4: this was a different row" in record.why
    assert scene.api.tables() == before


def test_a_file_that_was_refused_in_part_goes_on_where_it_stopped(scene):
    """The bad row is mended after the journal was lost; what stood beside it is in."""
    whole = list(scene.lines)
    scene.lines[3] = f"{scene.subject},no date"
    scene.lay()
    record, _ = scene.rebuilt()
    assert (record.state, scene.there()) == ("refused", whole[:3])
    lose_state(scene)
    scene.lines = whole
    scene.lay()

    record, _ = scene.rebuilt()

    assert record.state == "uploaded", record.why
    assert scene.there() == whole


@pytest.mark.parametrize("case", MATRIX if SOAK else SAMPLE, ids=str)
def test_a_crash_while_the_journal_is_rebuilt_doubles_no_row(scene, case):
    name, number, after = case
    before = scene.uploaded()
    lose_state(scene)
    power = Power(name, number, after=after)
    with scene.rigged("writer", power=power) as dying, suppress(Crash):
        dying.bring()
    assert power.off or SOAK

    record, _ = scene.rebuilt()

    assert record.state == "uploaded", record.why
    assert scene.api.tables() == before


# ---------------------------------------------------------------------- no receipt


@pytest.mark.parametrize("who", WHO)
def test_without_a_receipt_what_a_damaged_journal_may_have_sent_waits_for_a_person(scene, who):
    scene.write({"table/demo/Subject/Subject.csv": f"Name\n{scene.rid} named\n"})
    before = scene.uploaded(who)
    forget(scene)

    record, _ = scene.rebuilt(who)

    assert record.state == "refused"
    assert f"{VISITS}: it is older than the journal" in record.why
    assert "Check demo:Observation. If it has none" in record.next
    assert f"deriva-watch retry {scene.rid}" in record.next
    assert scene.states()["table/demo/Subject/Subject.csv"] == "linked"  # it has a key
    assert scene.api.tables() == before


def test_a_person_may_say_that_they_are_not_in(scene):
    damage_at_the_start(scene)
    with scene.rigged("writer") as rig:
        record = rig.bring()
        assert (record.state, scene.there()) == ("refused", [])

        retried = MoveExecution(record.id, ExecutionTrigger.RETRIED)
        said = NoteExecution(record.id, {"verdict": {"requested": True}})
        rig.journal.commit([retried, said])
        digest = rig.parts.unit_reader.look(rig.settings.unit_of(record)).digest()
        facts = {"digest": digest, "verdict": {"requested": True}}
        rig.journal.commit([MoveExecution(record.id, ExecutionTrigger.COMPLETED, facts)])
        record = rig.bring()

    assert record.state == "uploaded", record.why
    assert scene.there() == scene.lines


def damage_at_the_start(scene):
    """There is a damaged journal, and nobody knows what it knew."""
    scene.state.mkdir()
    damage(scene)


def test_what_is_made_after_a_damaged_journal_is_sent(scene):
    damage_at_the_start(scene)
    scene.rebuilt()
    late = scene.beside()
    late.write({VISITS: f"Subject,Observation_Date\n{scene.lines[0]}\n"})

    record, _ = late.upload({})

    assert record.state == "uploaded", record.why
    assert scene.there() == scene.lines[:1]


def test_what_was_appended_after_a_damaged_journal_is_as_old_as_its_file(scene):
    """The first rows of it may be in."""
    damage_at_the_start(scene)
    with scene.rigged("writer"):
        pass  # the new journal begins
    with (scene.root / VISITS).open("a") as file:
        file.write(f"{scene.subject},2026-02-06\n")

    record, _ = scene.rebuilt()

    assert record.state == "refused"
    assert "older than the journal" in record.why
    assert scene.there() == []


def test_a_first_journal_asks_nobody(scene):
    """There is none that was set aside: nobody but somebody else can have sent the rows."""
    os.utime(scene.root / VISITS, (time.time() - DAY_S,) * 2)

    scene.uploaded()


# ---------------------------------------------------------------------- a receipt is a hint


def lines_of(place):
    return [json.loads(line) for line in place.read_text().splitlines()]


def forge(scene, change):
    """Lose the state, and write other lines into the copy."""
    lose_state(scene)
    head, *lines = lines_of(scene.copy)
    change(head, lines)
    text = "".join(f"{json.dumps(line)}\n" for line in [head, *lines])
    scene.copy.write_text(text)


def test_rids_of_another_table_or_of_nothing_are_no_rows(scene):
    """As if the receipt did not name them: the rows are missing, so they are sent."""
    whole = scene.lines
    scene.lines = whole[:4]
    scene.lay()
    scene.uploaded()
    for row in scene.api.rows("demo:Observation"):
        if row["Subject"] == scene.subject:
            url = f"{scene.api.catalog}/entity/demo:Observation/RID={row['RID']}"
            scene.api.call("DELETE", url)

    def change(_head, lines):
        lines[0]["rids"] = [scene.subject, "9-ZZZZ"]
        lines[1]["rids"] = [None, None]

    forge(scene, change)

    record, _ = scene.rebuilt()

    assert record.state == "uploaded", record.why
    assert scene.there() == whole[:4]


def test_the_rid_of_a_row_that_says_otherwise_refuses_the_file_by_name(scene):
    before = scene.uploaded()
    rids = []

    def change(_head, lines):
        rids.extend(lines[0]["rids"])
        lines[0]["rids"].reverse()

    forge(scene, change)

    record, _ = scene.rebuilt()

    assert record.state == "refused"
    assert f"row {rids[1]} of demo:Observation has the same key and says" in record.why
    assert scene.api.tables() == before


def test_a_row_that_cannot_be_sent_is_not_in_because_a_receipt_says_so(scene):
    """Without a RID nothing tells that it is; once it is mended it is sent."""
    whole, bad = list(scene.lines), f"{scene.subject},no date"
    scene.lines[3] = bad
    scene.lay()
    scene.rebuilt()
    with scene.rigged("writer") as rig:
        plan = rig.begun().rows[VISITS]
    cells = dict(zip(("Subject", "Observation_Date"), bad.split(","), strict=True))
    digest = plan.digest(RawRow("line 5", cells))

    def change(_head, lines):
        known = b64decode(lines[1]["digests"])
        lines[1]["digests"] = b64encode(known + digest).decode()
        lines[1]["rids"].append(None)

    forge(scene, change)
    record, _ = scene.rebuilt()
    assert (record.state, scene.there()) == ("refused", whole[:3])
    scene.lines = whole
    scene.lay()

    record, _ = scene.rebuilt()

    assert record.state == "uploaded", record.why
    assert scene.there() == whole


def other_head(name):
    def change(head, _lines):
        head[name] = "other"

    return change


@pytest.mark.parametrize("name", ["server", "execution"])
def test_a_receipt_of_something_else_is_not_used_and_that_is_said(scene, name):
    """The rows are then those of a first upload."""
    scene.uploaded()
    forge(scene, other_head(name))

    _, rig = scene.rebuilt()

    assert any(f"it is of another {name}" in event.why for event in rig.told("notice.added"))
    assert scene.there() == sorted(scene.lines * 2)  # nobody knows better


NONSENSE = {
    "no JSON": b"\xff\xfe",
    "no batch": b"[]",
    "no digests": b'{"file": "%s", "first": 0, "digests": "????", "rids": ["1-A"]}',
    "too few RIDs": b'{"file": "%s", "first": 0, "digests": "AAAA", "rids": ["1-A"]}',
    "numbers": b'{"file": "%s", "first": "0", "digests": "", "rids": [1]}',
    "a long line": b"[" * 3_000_000,
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_what_cannot_be_read_in_a_receipt_is_said_and_stops_nothing(scene, kind):
    """The lines before it count; after a damaged journal the rest waits for a person."""
    before = scene.uploaded()
    first = b"\n".join(scene.copy.read_bytes().splitlines()[:2])
    nonsense = NONSENSE[kind].replace(b"%s", VISITS.encode())
    damage(scene)
    shutil.rmtree(scene.state / "receipts")
    scene.copy.write_bytes(first + b"\n" + nonsense + b"\n")

    record, rig = scene.rebuilt()

    assert record.state == "refused"
    assert "older than the journal" in record.why
    assert any("line 3 was not written by deriva-watch" in e.why for e in rig.told("notice.added"))
    assert scene.api.tables() == before


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_copy_that_is_no_file_is_not_read(scene, make):
    before = scene.uploaded()
    forget(scene)
    make(scene.copy)

    record, rig = scene.rebuilt()

    assert record.state == "refused"
    assert any("is ignored from here on" in e.why for e in rig.told("notice.added"))
    assert scene.api.tables() == before


def test_an_outdated_receipt_is_gone_on_from(scene):
    """It knows the first rows; the journal knew more. What came after waits for a person."""
    scene.lines, whole = scene.lines[:3], scene.lines
    scene.lay()
    scene.uploaded()
    outdated = scene.copy.read_bytes()
    scene.lines = whole
    scene.lay()
    before = scene.uploaded()
    forget(scene)
    scene.copy.write_bytes(outdated)

    record, _ = scene.rebuilt()

    assert record.state == "refused"
    assert "older than the journal" in record.why
    assert scene.api.tables() == before


# ---------------------------------------------------------------------- as files


def test_both_files_are_kept_and_neither_is_uploaded(scene):
    scene.uploaded()

    kept = sorted(path.name for path in (scene.state / "receipts").rglob(f"{scene.rid}.*"))
    assert kept == [f"{scene.rid}.json", f"{scene.rid}.rows.jsonl"]
    assert {RECEIPT_NAME, ROWS_NAME} <= {path.name for path in scene.root.iterdir()}
    assert list(scene.files()) == [VISITS]


def test_a_million_rows_take_no_more_memory_than_some(tmp_path):
    """They are written and read a batch at a time: with fewer it is the same."""
    rows = 1_000_000 if SOAK else 50_000

    beside = own_files.Beside(tmp_path, partial(own_files.opened, tmp_path))
    receipt = RowReceipt.of(tmp_path / "state", "example.org/1", "1-AAAA", beside)
    rids = [f"1-{number:04X}" for number in range(1000)]

    def batches():
        for first in range(0, rows, 1000):
            yield "a.csv", BatchRecord(0, first, os.urandom(16_000), rids, recorded=True)

    tracemalloc.start()
    receipt.write(batches())
    receipt.leave_copy()
    receipt.kept.unlink()
    count = sum(len(batch.digests) for batch in receipt.read("a.csv", pytest.fail))
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == rows
    assert most_bytes < 4_000_000
