"""Rows of assets are linked to their execution and to their types."""

import shutil
from contextlib import suppress

import pytest

from deriva_watch.core.errors import ServerAwayError
from engine.rig import ASSET, Crash, Power, earlier, first, instead

ONE, OTHER = "execution-asset/Model_File/one.bin", "execution-asset/Output_File/other.bin"
EXECUTIONS, TYPES = f"{ASSET}_Execution", f"{ASSET}_Asset_Type"


def links(lab, table=EXECUTIONS):
    """Return the links of the execution's files: RID of the asset, what it is linked to, role."""
    rids = {file.rid for file in lab.files().values()}
    return sorted(
        (row["Execution_Asset"], row.get("Execution") or row["Asset_Type"], row.get("Asset_Role"))
        for row in lab.api.rows(table)
        if row["Execution_Asset"] in rids
    )


@pytest.fixture
def type_of_one(lab):
    """An asset type that only the first of two files has; it can be deleted."""
    name = f"Type of {lab.rid}"
    term = {"ID": f"test:{lab.rid}", "URI": f"/id/{lab.rid}", "Name": name, "Description": "x"}
    lab.api.insert("deriva-ml:Asset_Type", term)
    lab.write({f"execution-asset/{name}/one.bin": f"one {lab.rid}", OTHER: f"other {lab.rid}"})
    return name


def delete(lab, path):
    """Delete rows."""
    lab.api.call("DELETE", f"{lab.api.catalog}/entity/{path}")


def before_links(act):
    """Let something happen before the first link goes in; the insert before is that of assets."""
    return [first(lambda *_: None), first(lambda *_: act())]


def test_every_row_has_its_links(lab):
    lab.upload({ONE: f"one {lab.rid}", OTHER: f"other {lab.rid}"})

    one, other = (lab.files()[path].rid for path in (ONE, OTHER))
    assert links(lab) == sorted([(one, lab.rid, "Output"), (other, lab.rid, "Output")])
    assert links(lab, TYPES) == sorted([(one, "Model_File", None), (other, "Output_File", None)])


def test_links_of_many_files_are_two_requests(lab):
    files = {f"execution-asset/Model_File/{number}": f"{number} {lab.rid}" for number in range(50)}

    _, rig = lab.upload(files)

    tables = [str(call.arguments[0]) for call in rig.power.calls("catalog.insert")]
    assert tables == [str(ASSET), EXECUTIONS, TYPES]


def test_a_link_that_is_there_stays_as_it_is(lab):
    """The execution had read the file before it wrote the same."""
    content = lab.rid.encode()
    row = earlier(lab.api, content, "one.bin", ASSET)
    link = {"Execution_Asset": row["RID"], "Execution": lab.rid, "Asset_Role": "Input"}
    lab.api.insert(EXECUTIONS, link)

    record, _ = lab.upload({ONE: content})

    assert (record.state, lab.states()) == ("uploaded", {ONE: "linked"})
    assert links(lab) == [(row["RID"], lab.rid, "Input")]


def test_a_link_that_is_refused_is_its_files_refusal(lab, type_of_one):
    """Somebody deletes a type meanwhile."""
    path = f"execution-asset/{type_of_one}/one.bin"

    with lab.rigged() as rig:
        term = f"deriva-ml:Asset_Type/Name={type_of_one.replace(' ', '%20')}"
        rig.catalog.then["insert"] = before_links(lambda: delete(lab, term))
        assert rig.upload().state == "refused"

    assert lab.states() == {path: "refused", OTHER: "linked"}
    assert lab.files()[path].what == f"cannot link {path}"
    assert "is not present in table" in lab.files()[path].why


def test_an_execution_that_is_deleted_meanwhile_is_a_refusal_of_its_files(lab):
    lab.write({ONE: f"one {lab.rid}", OTHER: f"other {lab.rid}"})

    with lab.rigged() as rig:
        rig.catalog.then["insert"] = before_links(
            lambda: delete(lab, f"deriva-ml:Execution/RID={lab.rid}")
        )
        assert rig.upload().state == "refused"

    assert {*lab.states().values()} == {"refused"}


@pytest.mark.parametrize("kept", [OTHER, None], ids=["beside another", "the only one"])
def test_a_file_that_vanishes_between_its_row_and_its_links_is_linked_all_the_same(lab, kept):
    """Execution and types: the journal knows them from the time of the row."""
    root = lab.write({ONE: f"one {lab.rid}"} | ({kept: f"other {lab.rid}"} if kept else {}))
    away = instead(ServerAwayError("cannot link", "it is away"))

    with lab.rigged() as rig:
        rig.catalog.then["insert"] = [lambda call, *_: call(), away]
        assert rig.upload().state == "waiting"
        assert lab.states()[ONE] == "recorded"
        (root / ONE).unlink()
        assert rig.bring().state == "uploaded"

    rid = lab.files()[ONE].rid
    assert (rid, lab.rid, "Output") in links(lab)
    assert (rid, "Model_File", None) in links(lab, TYPES)
    assert {*lab.states().values()} == {"linked"}


def test_files_that_are_removed_after_their_upload_are_no_refusal(lab):
    """Somebody makes room, and leaves the folder."""
    root = lab.write({ONE: f"one {lab.rid}"})

    with lab.rigged() as rig:
        assert rig.upload().state == "uploaded"
        (root / ONE).unlink()
        assert rig.bring().state == "uploaded"

    assert lab.states() == {ONE: "linked"}


def test_a_directory_that_vanishes_between_rows_and_links_is_linked_all_the_same(lab):
    """It is gone: no upload comes back to it, so that whoever sweeps up does it."""
    root = lab.write({ONE: f"one {lab.rid}"})
    with lab.rigged(power=Power("catalog.insert", 1)) as rig:
        with suppress(Crash):
            rig.upload()
        rig.journal.void_claims()
    assert lab.states() == {ONE: "recorded"}
    shutil.rmtree(root)

    with lab.rigged() as rig:
        assert rig.parts.attempts.process(rig.journal.claim(None)).record.state == "gone"
        rig.parts.attempts.sweep()
        calls = len(rig.power.names)
        rig.parts.attempts.sweep()

    assert lab.states() == {ONE: "linked"}
    assert len(rig.power.names) == calls
    rid = lab.files()[ONE].rid
    assert (rid, lab.rid, "Output") in links(lab)
    assert (rid, "Model_File", None) in links(lab, TYPES)
