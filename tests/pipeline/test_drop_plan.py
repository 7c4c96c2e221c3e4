"""Drop folders before a real catalog: look-ups, and rows with what was looked up."""

from types import SimpleNamespace
from unicodedata import normalize

import pytest

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.errors import UnusableSpecError
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.states import ExecutionTrigger
from running import requests_seen, write_files

BY_NAME = {"Subject": {"table": "demo:Subject", "column": "Name", "value": "{who}"}}
BY_QUERY = {"Subject": {"query": "/attribute/demo:Subject/Name={who}/RID"}}


@pytest.fixture
def folder(lab, tmp_path, fresh):
    """A drop folder of images, by the name of their subject."""
    subject = fresh()
    row = lab.api.insert("demo:Subject", {"Name": subject})[0]
    said = {
        "path": tmp_path / "drop",
        "table": "Image",
        "pattern": r"(?P<who>[^/]+)/(?P<Acquisition_Date>[0-9-]+)_[^/]+[.]png",
        "lookup": BY_NAME,
        "asset_types": ["Image"],
        "unit": "none",
    }
    return SimpleNamespace(path=tmp_path / "drop", said=said, name=subject, rid=row["RID"])


def planned(rig, folder):
    """Return the plan of all that lies in the folder."""
    unit = rig.settings.unit(folder.path, LOOSE)
    return rig.parts.plan(unit, rig.parts.unit_reader.look(unit), rig.catalog.model(), rig.catalog)


def brought(rig, folder):
    """Take all that lies in the folder through; return where it stands."""
    record = rig.journal.open_execution(rig.parts.server, str(folder.path), LOOSE)
    digest = rig.parts.unit_reader.look(rig.settings.unit_of(record)).digest()
    settled = ExecutionTrigger.COMPLETED, {"digest": digest, "verdict": {"why": "a test says so"}}
    rig.journal.commit([MoveExecution(record.id, *settled)])
    rig.journal.commit([MoveExecution(record.id, ExecutionTrigger.CLAIMED)])
    return rig.parts.attempts.process(rig.journal.execution(record.id)).record


@pytest.mark.parametrize("lookup", [BY_NAME, BY_QUERY], ids=["table", "query"])
def test_a_name_becomes_a_rid_and_one_that_nobody_has_refuses_its_file_alone(
    lab, folder, lookup, fresh
):
    folder.said["lookup"] = lookup
    folder.said["pattern"] = r"(?P<who>.+)/(?P<Acquisition_Date>[0-9-]+)_[^/]+[.]png"
    unknown, odd, long = fresh(), "it's 100% & more?", "/".join(["ü" * 120] * 8)
    names = (folder.name, unknown, odd, long)
    write_files(folder.path, {f"{name}/2026-01-02_a.png": name for name in names})

    with lab.rigged(drop=[folder.said]) as rig:
        plan = planned(rig, folder)

    (asset,) = plan.assets
    assert (asset.values["Subject"], asset.values["Acquisition_Date"]) == (folder.rid, "2026-01-02")
    left = {each.path.rpartition("/")[0]: each.why for each in plan.leftovers}
    assert left.keys() == {unknown, odd, long}
    assert "too long" in left.pop(long)
    assert all("no row of" in why for why in left.values())
    assert unknown.rpartition(" ")[2] in left[unknown]


@pytest.mark.parametrize("lookup", [BY_NAME, BY_QUERY], ids=["table", "query"])
def test_a_name_that_the_disk_has_decomposed_finds_its_row_and_a_person_is_told(
    lab, folder, lookup, fresh
):
    name = f"José {fresh()}"
    rid = lab.api.insert("demo:Subject", {"Name": normalize("NFC", name)})[0]["RID"]
    write_files(folder.path, {f"{normalize('NFD', name)}/2026-01-02_a.png": "a"})

    with lab.rigged(drop=[folder.said | {"lookup": lookup}]) as rig:
        plan = planned(rig, folder)

    assert [asset.values["Subject"] for asset in plan.assets] == [rid]
    assert "in another Unicode form" in plan.notices["Subject"]


def test_the_nearest_values_are_named_at_a_cost_that_does_not_grow(lab, folder, fresh):
    word = fresh()
    known = [f"{word} subject-{number}" for number in range(120)]
    lab.api.insert("demo:Subject", *[{"Name": name} for name in known])
    asked = [f"{word} Subject-7", *(f"{word} nobody {number}" for number in range(20))]
    write_files(folder.path, {f"{name}/2026-01-02_a.png": name for name in asked})

    with lab.rigged(drop=[folder.said]) as rig:
        left = {each.path: each.why for each in planned(rig, folder).leftovers}
        calls = rig.power.calls("catalog.neighbours")

    assert f"(closest: '{word} subject-" in left[f"{asked[0]}/2026-01-02_a.png"]
    assert len(calls) == 5
    near = [each["entries"] for each in requests_seen(lab.ready) if "::geq::" in each["path"]]
    assert max(near) == 50


def test_several_rows_and_what_cannot_be_a_value_refuse_a_file(lab, folder):
    day = "1903-04-05"
    lab.api.insert(
        "demo:Observation", *[{"Subject": folder.rid, "Observation_Date": day} for _ in range(2)]
    )
    by_day = {"Observation": {"table": "Observation", "column": "Observation_Date", "value": "{d}"}}
    folder.said["lookup"] = BY_NAME | by_day
    folder.said["pattern"] = "(?P<who>[^/]+)/(?P<d>[^_]+)_.+"
    write_files(folder.path, {f"{folder.name}/{d}_a.png": d for d in (day, "yesterday")})

    with lab.rigged(drop=[folder.said]) as rig:
        several, wrong = planned(rig, folder).leftovers

    assert f"rows of demo:Observation with Observation_Date = {day!r}: " in several.why
    assert "'yesterday' is not a valid date" in wrong.why


def test_look_ups_cost_one_request_however_many_files_there_are(lab, folder):
    write_files(folder.path, {f"{folder.name}/2026-01-02_{n}.png": str(n) for n in range(300)})

    with lab.rigged(drop=[folder.said]) as rig:
        plan = planned(rig, folder)
        asked = rig.power.calls("catalog.rows_with")

    assert len(plan.assets) == 300
    assert len(asked) == 1


def test_what_lies_in_a_folder_goes_up_by_content_and_is_adopted_by_the_next_journal(
    lab, folder, fresh
):
    content = fresh()
    write_files(folder.path, {f"{folder.name}/2026-01-02_a.png": content, "notes.txt": "x"})

    for each in (lab, lab.another()):
        with each.rigged(drop=[folder.said]) as rig:
            record = brought(rig, folder)
            files = {file.path: file for file in rig.journal.files(record.id)}
        assert record.state == "uploaded", record.why
        assert files["notes.txt"].state == "unmatched"
        assert (
            "its path does not match the pattern of the drop folder: after "
            in files["notes.txt"].why
        )

    (row,) = [r for r in lab.api.rows("demo:Image") if r["Subject"] == folder.rid]
    assert (row["Filename"], row["Acquisition_Date"]) == ("2026-01-02_a.png", "2026-01-02")
    assert lab.api.content(row["URL"]) == content.encode()


def test_a_folder_that_cannot_be_used_says_so_and_waits(lab, folder):
    folder.said["asset_types"] = ["No such type"]
    write_files(folder.path, {f"{folder.name}/2026-01-02_a.png": "x"})

    with lab.rigged(drop=[folder.said]) as rig:
        with pytest.raises(UnusableSpecError) as raised:
            planned(rig, folder)
        record = brought(rig, folder)

    assert "asset_types: 'No such type' is not an asset type" in raised.value.why
    assert (record.state, record.attempts) == ("waiting", 0)
    assert record.why == raised.value.why


def test_what_was_moved_away_is_not_planned_again(lab, folder):
    name = f"{folder.name}/2026-01-02_a.png"
    write_files(folder.path, {name: "a", f"uploaded/{name}": "b"})

    for after, left in (("move", []), ("keep", [f"uploaded/{name}"])):
        with lab.rigged(drop=[folder.said | {"after": after}]) as rig:
            plan = planned(rig, folder)
        assert [asset.path for asset in plan.assets] == [name]
        assert [each.path for each in plan.leftovers] == left


def test_a_folder_that_is_described_again_takes_up_what_did_not_fit(lab, folder):
    write_files(folder.path, {f"{folder.name}/2026-01-02_a.tif": "a"})
    with lab.rigged(drop=[folder.said]) as rig:
        record = brought(rig, folder)
        assert record.state == "refused"
        assert rig.parts.fingerprint.reopen_changed(rig.journal, rig.parts.server) == []

    folder.said["pattern"] = folder.said["pattern"].replace("png", "tif")
    with lab.rigged(drop=[folder.said]) as rig:
        (moved,) = rig.parts.fingerprint.reopen_changed(rig.journal, rig.parts.server)

    assert moved.id == record.id
