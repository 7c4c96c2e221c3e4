"""Receipts always count: a unit that is uploaded already gets no second Execution."""

import json
import os
import shutil

import pytest

from pipeline.drops import DropLab, Instrument

RECEIPT = "deriva-watch-receipt.json"


@pytest.fixture
def runs(tmp_path, ready):
    """A folder whose directories are units, with one of them uploaded."""
    lab = DropLab(tmp_path, ready, unit="directory", batch_s=None)
    lab.drop({"run a/1.bin": f"1 {lab.rid}", "run a/deep/2.bin": f"2 {lab.rid}"})
    brought(lab, "run a")
    return lab


@pytest.fixture
def batches(tmp_path, ready):
    """A folder with two batches that are uploaded."""
    lab = DropLab(tmp_path, ready)
    for name in "ab":
        lab.drop({f"{name}1.bin": f"{name}1 {lab.rid}", f"{name}2.bin": f"{name}2 {lab.rid}"})
        brought(lab)
    assert len(lab.executions()) == 2
    return lab


def brought(lab, *units):
    """Upload what is there; return the states of all units, and the notices about receipts."""
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        for unit in units:
            instrument.settle(unit)
        for _ in range(1 if units else 3):  # files that leave a batch form another one
            states = instrument.bring()
        notices = [e.why for e in rig.events if getattr(e, "about", None) == "receipt"]
    assert set(states.values()) <= {"uploaded", "gone"}, states
    return states, notices


def links(lab):
    return {name: sorted(rids) for name, rids in lab.linked().items()}


def lose_journal(lab):
    (lab.folder / "state/journal.db").write_bytes(b"this is no database")


@pytest.mark.parametrize("lost", ["nothing", "journal", "state", "copy"])
def test_a_directory_that_was_renamed_keeps_its_execution(runs, lost):
    before = links(runs)
    (runs.path / "run a").rename(runs.path / "run b")
    if lost == "journal":
        lose_journal(runs)
    if lost == "state":
        shutil.rmtree(runs.folder / "state")
    if lost == "copy":  # the folder is read-only for us
        (runs.path / "run b" / RECEIPT).unlink()

    _, notices = brought(runs, "run b")

    assert links(runs) == before
    [execution] = runs.executions()
    assert notices == [
        f"it has the same files as run a, and keeps its Execution {execution['RID']}"
    ]
    told = json.loads((runs.path / "run b" / RECEIPT).read_text())
    assert (told["unit"], told["linked_to"]) == ("run b", execution["RID"])


def add_file(run):
    (run / "3.bin").write_text("3")


def change_file(run):
    size = (run / "1.bin").stat().st_size
    (run / "1.bin").write_bytes(b"x" * size)


def remove_file(run):
    (run / "1.bin").unlink()


@pytest.mark.parametrize("change", [add_file, change_file, remove_file])
def test_a_copy_with_other_files_is_a_new_run_and_a_notice_says_why(runs, change):
    [first] = runs.executions()
    shutil.copytree(runs.path / "run a", runs.path / "run b")
    change(runs.path / "run b")

    _, notices = brought(runs, "run b")

    [second] = [each for each in runs.executions() if each["RID"] != first["RID"]]
    assert links(runs)["2.bin"] == sorted([first["RID"], second["RID"]])
    [notice] = notices
    assert notice.startswith("the one beside the files is of run a: files or metadata differ")


def test_a_copy_by_links_is_a_new_run_while_the_first_is_there_and_no_receipt_says_otherwise(runs):
    shutil.copytree(runs.path / "run a", runs.path / "run b", copy_function=os.link)
    (runs.path / "run b" / RECEIPT).unlink()

    _, notices = brought(runs, "run b")

    assert len(runs.executions()) == 2
    assert notices == []


@pytest.mark.parametrize("forged", ["execution", "rid"])
def test_a_receipt_cannot_put_files_into_an_execution_that_does_not_have_them(runs, forged):
    """Only nothing new is linked to what a receipt beside the files names."""
    other = runs.api.execution()
    run = runs.path / "run b"
    (runs.path / "run a").rename(run)
    said = json.loads((run / RECEIPT).read_text())
    if forged == "execution":
        said |= {"linked_to": other, "execution": other}
    for line in said["files"] if forged == "rid" else ():
        line["rid"] = "1-S001"
    (run / RECEIPT).write_text(json.dumps(said))

    brought(runs, "run b")

    assert all(other not in rids for rids in links(runs).values())
    assert len(runs.executions()) == 2


def test_a_receipt_that_cannot_be_used_is_ignored_and_a_notice_says_so(runs):
    (runs.path / "run a").rename(runs.path / "run b")
    (runs.path / "run b" / RECEIPT).write_text('{"receipt": 1}')
    shutil.rmtree(runs.folder / "state")

    _, [notice] = brought(runs, "run b")

    assert notice.startswith("the one from before is ignored: ")
    assert len(runs.executions()) == 2


def test_batches_are_formed_again_when_the_journal_is_lost(batches):
    before, made = links(batches), {each["RID"] for each in batches.executions()}
    lose_journal(batches)
    batches.drop({"c1.bin": f"c1 {batches.rid}"})

    states, _ = brought(batches)

    after = links(batches)
    [third] = {each["RID"] for each in batches.executions()} - made
    assert after.pop("c1.bin") == [third]
    assert after == before
    assert len(states) == 3


def test_a_new_file_of_the_same_name_and_size_is_in_a_batch_of_its_own(batches):
    """A camera that counts from 1 each day; its files have one size."""
    before, made = links(batches), {each["RID"] for each in batches.executions()}
    lose_journal(batches)
    batches.drop({"a1.bin": f"A1 {batches.rid}"})

    brought(batches)

    after = links(batches)
    [third] = {each["RID"] for each in batches.executions()} - made
    assert after.pop("a1.bin") == sorted([*before.pop("a1.bin"), third])
    assert after == before
