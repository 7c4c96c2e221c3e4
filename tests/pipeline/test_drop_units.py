"""Units of drop folders: which files they have, and the Execution that each gets."""

import itertools
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize

import pytest

from deriva_watch.commands.dry_run import expected_verdict
from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.watch.inspector import Inspector
from pipeline.drops import WORKFLOW, DropLab, Instrument


@pytest.fixture
def drops(tmp_path, ready):
    """Makes drop folders."""
    return lambda **drop: DropLab(tmp_path, ready, **drop)


def test_a_batch_becomes_one_execution_with_its_files_linked(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}", "run/b.bin": f"b {lab.rid}"})
    with lab.rigged() as rig:
        told = Instrument(rig, lab.path).bring()
        [unit] = Instrument(rig, lab.path).units()

    [execution] = lab.executions()
    assert told == {unit.rid: "uploaded"}
    assert unit.rid.startswith("batch-")
    assert (unit.unit, unit.execution_rid) == ("batch", execution["RID"])
    assert (execution["Workflow"], execution["Status"]) == (WORKFLOW, "Uploaded")
    assert lab.linked() == {"a.bin": [execution["RID"]], "b.bin": [execution["RID"]]}
    [made] = rig.told("execution.created")
    assert (made.execution, made.execution_rid) == (unit.rid, execution["RID"])
    moves = [(event.old, event.new) for event in rig.told("execution.status_changed")]
    way = ["Created", "Running", "Stopped", "Pending_Upload", "Uploaded"]
    assert moves == list(itertools.pairwise(way))
    assert sorted(path.name for path in lab.path.iterdir()) == ["a.bin", "run"]  # and no receipt


def test_names_that_come_later_are_another_batch_and_a_member_that_changes_reopens_its_own(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        lab.drop({"a.bin": f"changed {lab.rid}", "b.bin": f"b {lab.rid}"})
        states = instrument.bring()
        first, second = instrument.units()

        assert set(states.values()) == {"uploaded"}
        assert [file.path for file in rig.journal.files(first.id)] == ["a.bin"]
        assert [file.path for file in rig.journal.files(second.id)] == ["b.bin"]
    rows = [row for row in lab.api.rows("deriva-ml:Execution_Asset") if row["Filename"] == "a.bin"]
    contents = {lab.api.content(row["URL"]) for row in rows}
    assert f"changed {lab.rid}".encode() in contents
    assert lab.linked()["b.bin"] == [second.execution_rid]
    assert set(lab.linked()["a.bin"]) == {first.execution_rid}
    assert len(lab.executions()) == 2


def test_a_directory_is_a_unit_and_has_a_receipt(drops):
    lab = drops(unit="directory", batch_s=None)
    lab.drop({"run 1/a.bin": f"a {lab.rid}", "run 1/CopyComplete.txt": "", "run 2/b.bin": "b"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        told = instrument.bring("run 1")
        [unit] = instrument.units()

    [execution] = lab.executions()
    assert told == {"run 1": "uploaded"}
    assert (unit.unit, unit.links_to) == ("directory", execution["RID"])
    assert lab.linked() == {"a.bin": [execution["RID"]]}
    assert (lab.path / "run 1" / "deriva-watch-receipt.json").exists()


def test_a_directory_keeps_its_execution_when_the_journal_is_lost(drops):
    """An ordinary writer has used up the lease: nothing but the receipt knows which row it was."""
    lab = drops(unit="directory", batch_s=None)
    lab.drop({"run 1/a.bin": f"a {lab.rid}"})
    with lab.rigged("writer") as rig:
        Instrument(rig, lab.path).bring("run 1")
    (lab.folder / "state" / "journal.db").write_bytes(b"this is no database")
    lab.drop({"run 1/b.bin": f"b {lab.rid}"})
    with lab.rigged("writer") as rig:
        assert Instrument(rig, lab.path).bring("run 1") == {"run 1": "uploaded"}

    [execution] = lab.executions()
    assert lab.linked() == {"a.bin": [execution["RID"]], "b.bin": [execution["RID"]]}


def test_files_without_an_execution_have_their_types_and_no_links(drops):
    lab = drops(unit="none", batch_s=None, workflow=None, description=None)
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        assert list(Instrument(rig, lab.path).bring().values()) == ["uploaded"]
        [unit] = Instrument(rig, lab.path).units()
        [file] = rig.journal.files(unit.id)

    assert unit.execution_rid is None
    types = lab.api.rows("deriva-ml:Execution_Asset_Asset_Type")
    assert [row["Asset_Type"] for row in types if row["Execution_Asset"] == file.rid] == [
        "Model_File"
    ]
    links = lab.api.rows("deriva-ml:Execution_Asset_Execution")
    assert file.rid not in {row["Execution_Asset"] for row in links}


@pytest.mark.parametrize(
    ("workflow", "why"),
    [
        ("9-ZZZZ", "no row of deriva-ml:Workflow has RID '9-ZZZZ'"),
        ({"name": "Image acquisition", "version": "2"}, "Name 'Image acquisition' and Version '2'"),
        ({"name": "twice", "version": "1"}, "2 rows ("),
    ],
)
def test_a_workflow_that_is_not_one_row_refuses_the_unit_and_none_is_made(drops, workflow, why):
    lab = drops(workflow=workflow)
    if why.startswith("2"):
        lab.api.insert("deriva-ml:Workflow", *[{"Name": "twice", "Version": "1"}] * 2)
    lab.drop({"a.bin": f"a {lab.rid}"})
    count = len(lab.api.rows("deriva-ml:Workflow"))
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        assert list(instrument.bring().values()) == ["refused"]
        [unit] = instrument.units()

    assert why in unit.why
    assert f"Correct workflow of the [[drop]] with path {lab.path}" in unit.next
    assert f"deriva-watch retry {unit.rid}`" in unit.next
    assert (lab.executions(), len(lab.api.rows("deriva-ml:Workflow"))) == ([], count)


def test_a_workflow_is_found_by_name_and_version(drops):
    lab = drops(workflow={"name": "Image acquisition", "version": "1.0"})
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        Instrument(rig, lab.path).bring()

    assert [row["Workflow"] for row in lab.executions()] == [WORKFLOW]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_workflow_is_found_in_another_unicode_form(drops, fresh, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    name = f"Séance {fresh()}"
    lab = drops(workflow={"name": normalize(form, name), "version": "é"})
    stored = {"Name": normalize(other, name), "Version": "e\u0301"}
    [row] = lab.api.insert("deriva-ml:Workflow", stored)
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        Instrument(rig, lab.path).bring()

    assert [each["Workflow"] for each in lab.executions()] == [row["RID"]]
    [notice] = [each for each in rig.told("notice.added") if each.about == "Workflow"]
    assert "in another Unicode form" in notice.why


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_pattern_matches_a_name_in_another_unicode_form(drops, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    lab = drops(pattern=normalize(form, r"séance/[^/]+\.bin"))
    lab.drop({normalize(other, "séance/été.bin"): f"a {lab.rid}"})
    with lab.rigged() as rig:
        assert list(Instrument(rig, lab.path).bring().values()) == ["uploaded"]

    assert list(lab.linked()) == [normalize(other, "été.bin")]
    assert any(each.about == "pattern" for each in rig.told("notice.added"))


def test_what_matches_nothing_gets_no_execution(drops):
    lab = drops(unit="directory", batch_s=None)
    lab.drop({"run 1/notes.doc": "x"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        assert instrument.bring("run 1") == {"run 1": "refused"}
        [unit] = instrument.units()

    assert lab.executions() == []
    assert "`deriva-watch show 'run 1'`" in unit.next, "a shell takes it as it stands"


def test_a_status_that_somebody_else_set_stays(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        [execution] = lab.executions()
        rig.catalog.move_status(execution["RID"], "Uploaded", "Aborted")
        lab.drop({"a.bin": f"changed {lab.rid}"})
        assert list(instrument.bring().values()) == ["uploaded"]

    assert [row["Status"] for row in lab.executions()] == ["Aborted"]


def test_a_lost_answer_to_a_move_of_the_status_ends_nothing(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        rig.parts.attempts.executions.catalog._port.then["move_status"] = [
            lambda call, *_: (call(), False)[1]
        ] * 4
        Instrument(rig, lab.path).bring()

    assert [row["Status"] for row in lab.executions()] == ["Uploaded"]


def test_files_that_vanish_leave_their_batch_and_an_empty_one_is_gone(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}", "b.bin": f"b {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.settle()
        (lab.path / "b.bin").unlink()
        [unit] = instrument.units()
        instrument.bring()
        assert list(lab.linked()) == ["a.bin"]
        (lab.path / "a.bin").unlink()
        instrument.look()

        assert rig.journal.execution(unit.id).state == "gone"
        lab.drop({"a.bin": f"a {lab.rid}"})
        assert instrument.bring() == {unit.rid: "uploaded"}
    assert list(lab.linked()) == ["a.bin"]


def test_a_folder_that_is_away_has_lost_nothing(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        lab.path.rename(lab.path.with_name("elsewhere"))
        instrument.look()
        assert [unit.state for unit in instrument.units()] == ["uploaded"]
        lab.path.with_name("elsewhere").rename(lab.path)
        instrument.settle()

        assert [unit.state for unit in instrument.units()] == ["uploaded"]


def test_an_empty_mount_point_has_lost_nothing(drops, tmp_path):
    lab, shared = drops(), Path("/dev/shm")
    if shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with TemporaryDirectory(dir=shared) as disk:
        lab.path.rmdir()
        lab.path.symlink_to(disk)
        lab.drop({"a.bin": f"a {lab.rid}"})
        with lab.rigged() as rig:
            instrument = Instrument(rig, lab.path)
            instrument.bring()
            lab.path.unlink()
            lab.path.mkdir()
            instrument.look()
            assert [unit.state for unit in instrument.units()] == ["uploaded"]
            lab.path.rmdir()
            lab.path.symlink_to(disk)
            instrument.settle()

            assert [unit.state for unit in instrument.units()] == ["uploaded"]


def test_a_link_below_a_linked_folder_is_looked_at_alike_by_both_ways(drops):
    """A batch whose two kinds of look differ would be opened again for ever."""
    lab = drops()
    shared = lab.path / "shared"
    lab.drop({"shared/a.bin": f"a {lab.rid}", "x.bin": f"x {lab.rid}"})
    (lab.path / "alias").symlink_to(shared)
    (lab.path / "link.bin").symlink_to(lab.path / "x.bin")
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.settle()
        [unit] = instrument.units()

        assert rig.parts.unit_reader.look(rig.settings.unit_of(unit)).digest() == unit.digest
        assert rig.journal.execution(unit.id).state == "ready"


@pytest.mark.parametrize(
    ("name", "quiet_s", "needed_s", "partial"),
    [("run 7", 900, 900, []), ("run 7.part", 0, 0, ["a.bin", "b/c.bin"])],
    ids=["it waits longer than quiet_max_s", "the name of a transfer in progress"],
)
def test_plan_and_the_daemon_judge_a_directory_by_the_same_rules(
    drops, name, quiet_s, needed_s, partial
):
    lab = drops(unit="directory", batch_s=None, quiet_s=quiet_s)
    lab.drop({f"{name}/a.bin": "a", f"{name}/b/c.bin": "c"})
    with lab.rigged() as rig:
        unit, general = rig.settings.unit(lab.path, name), rig.settings.completion_policy
        Inspector.of(rig.parts, general).look(unit)
        [record] = Instrument(rig, lab.path).units()
        seen = rig.parts.unit_reader.look(unit)

        planned = expected_verdict(rig.parts.unit_reader, rig.catalog, unit, seen, record)

    for verdict in (record.verdict, planned.evidence):
        assert (verdict["quiet_needed_s"], verdict["partial"]) == (needed_s, partial)
    assert (planned.is_complete, record.state) == (False, "filling")


def test_a_unit_is_tried_again_by_the_rid_of_its_execution(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        instrument.bring()
        [execution] = lab.executions()
        [unit] = rig.journal.executions(rid=execution["RID"])
        rig.journal.commit([MoveExecution(unit.id, ExecutionTrigger.RETRIED)])

        assert instrument.bring() == {unit.rid: "uploaded"}
    assert len(lab.executions()) == 1


def test_a_batch_waits_for_no_file_that_somebody_writes(drops):
    lab = drops()
    lab.drop({"a.bin": f"a {lab.rid}", "open.bin": f"o {lab.rid}"})
    with lab.rigged() as rig:
        instrument = Instrument(rig, lab.path)
        script = f"exec 9>>{lab.path}/open.bin; echo; read line"
        with subprocess.Popen(
            ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer:
            writer.stdout.readline()
            instrument.bring()
            writer.stdin.close()
        [unit] = instrument.units()
        assert [file.path for file in rig.journal.files(unit.id)] == ["a.bin"]
