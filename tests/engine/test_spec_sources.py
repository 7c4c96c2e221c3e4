"""Where the bulk spec comes from, and what happens while there is none that can be used."""

import json
from datetime import timedelta

import pytest

from deriva_watch.core.states import ExecutionState
from engine.rows.templates import MAPPING, Letters, lettered
from running import command, sandbox, write_config

ANNOTATION = {"asset_mappings": [MAPPING | {"column_map": {"Name": "{name}", "MD5": "{sha256}"}}]}


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with lettered(tmp_path_factory.mktemp("letters"), ANNOTATION) as ready:
        yield ready


@pytest.fixture
def lab(tmp_path, ready):
    return Letters(tmp_path, ready)


def test_the_annotation_of_the_catalog_is_followed(lab):
    lab.write({lab.path: lab.rid})

    with lab.rigged(spec={"source": "catalog"}) as rig:
        record = rig.bring()

    assert record.state == "uploaded", record.why
    assert len(lab.api.rows("lab:Scan")[-1]["MD5"]) == 64


def test_without_an_annotation_nothing_is_sent(tmp_path):
    with sandbox(tmp_path / "plain") as plain:
        lab = Letters(tmp_path, plain)
        lab.write({lab.path: lab.rid})

        with lab.rigged(spec={"source": "catalog"}) as rig:
            record = rig.bring()

    assert record.state == "waiting"
    assert "has no annotation tag:isrd.isi.edu,2017:bulk-upload" in record.why
    assert 'set [spec] source to "model" or "file"' in record.next


@pytest.mark.parametrize("text", ["{", '{"asset_mappings": [{"file_patern": "x"}]}', None])
def test_a_spec_that_cannot_be_used_holds_everything_until_it_is_mended(lab, text):
    lab.write({lab.path: lab.rid})
    spec = lab.spec()
    good = spec["file"].read_text()

    with lab.rigged(spec=spec) as rig:
        if text is None:
            spec["file"].unlink()
        else:
            spec["file"].write_text(text)
        record = rig.upload()
        assert record.state is ExecutionState.WAITING
        assert record.attempts == 0
        assert record.next_at - record.changed_at < timedelta(seconds=60)
        assert record.what.startswith("the bulk spec")

        spec["file"].write_text(good)
        record = rig.upload()

    assert record.state == "uploaded", record.why
    assert lab.row()["Name"] == lab.name


def test_the_command_prints_the_spec_in_force_and_says_what_is_wrong_with_it(lab):
    file = lab.spec({"hatrac_options": {"chunksize": 1}})["file"]
    prefix = lab.folder / "data"
    config = write_config(lab.folder, lab.ready, prefix, spec={"source": "file", "file": file})

    told = command(config, "spec", "--json")

    assert told.returncode == 3
    assert json.loads(told.stdout) == json.loads(file.read_text())
    assert "asset_mappings[0].hatrac_options.chunksize: unknown key" in told.stderr


def test_a_plan_tells_what_becomes_of_a_file_or_how_far_each_mapping_fits(lab):
    root = lab.write({lab.path: lab.rid, "scans/1-S001/notes.txt": "x"})
    file = lab.spec()["file"]
    prefix = lab.folder / "data"
    config = write_config(lab.folder, lab.ready, prefix, spec={"source": "file", "file": file})

    told = json.loads(command(config, "plan", root, "--json").stdout)[lab.rid]
    text = command(config, "plan", root).stdout

    (asset,), (left,) = told["assets"], told["left"]
    assert (asset["mapping"], asset["table"]) == (0, "lab:Scan")
    assert asset["groups"] == {"subject": "1-S001", "name": lab.name}
    assert asset["object"] == f"/hatrac/lab/1-S001/{lab.name}.tif"
    assert asset["row"] == {
        "Name": lab.name,
        "URL": "{URI}",
        "MD5": "{md5}",
        "Length": len(lab.rid),
        "Subject": "1-S001",
    }
    (miss,) = left["mappings"]
    assert miss["key"] == "file_pattern"
    assert miss["matched"].endswith("/scans/1-S001/notes.t")
    assert miss["wants"] == "if$"
    assert "is closest" in " ".join(text.split())
