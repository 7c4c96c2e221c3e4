"""Processors of a bulk spec: what they change, and what they may not."""

import sys
import textwrap
import zipfile
from io import BytesIO
from uuid import uuid4

import pytest

from engine.rig import Crash, Power
from engine.rows.templates import MAPPING, Letters, lettered


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with lettered(tmp_path_factory.mktemp("letters")) as ready:
        yield ready


@pytest.fixture
def lab(tmp_path, ready):
    return Letters(tmp_path, ready)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module with the classes of an operator; return its name."""

    def make(text):
        name = f"lab_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return make


def pre(name, kind=None, **params):
    typed = {"processor_type": kind} if kind else {}
    return {"pre_processors": [{"processor": name, "processor_params": params, **typed}]}


def columns(**more):
    return {"column_map": MAPPING["column_map"] | more}


# ---------------------------------------------------------------- built in


def test_a_file_is_renamed_for_the_catalog_alone(lab):
    rename = pre(
        "FileRenameProcessor",
        pattern=".*/(?P<stem>[^/]+)[.]tif$",
        replacement="/elsewhere/{subject}-{stem}.tiff",
    )

    record, _ = lab.bring(rename | columns(Notes="{file_name} {file_ext} {base_name} {base_path}"))

    assert record.state == "uploaded", record.why
    name = f"1-S001-{lab.name}"
    assert lab.row()["Notes"] == f"{name}.tiff .tiff {name} /elsewhere"
    assert lab.api.content(lab.row()["URL"]) == lab.rid.encode()


def test_a_pattern_that_does_not_fit_refuses_the_file(lab):
    record, _ = lab.bring(pre("FileRenameProcessor", pattern="/nowhere", replacement="x"))

    assert record.state == "refused"
    assert "the pattern '/nowhere' does not match" in lab.whys()[0]


def test_names_are_read_from_a_file_where_the_operator_allows_it(lab):
    file = lab.folder / "names.json"
    file.write_text('{"note": "read"}')
    reading = pre("MetadataProcessor", input_file=str(file)) | columns(Notes="{note}")

    record, _ = lab.bring(reading)
    assert (record.state, lab.rows()) == ("waiting", [])
    assert "allowed_processors" in record.why

    record, _ = lab.bring(reading, allowed=["MetadataProcessor"])
    assert lab.row()["Notes"] == "read"


# ---------------------------------------------------------------- of the operator


SHOUT = """
    from deriva.transfer.upload.processors.base_processor import BaseProcessor

    class Shout(BaseProcessor):
        def process(self):
            self.kwargs["metadata"]["loud"] = self.kwargs["match_groupdict"]["name"].upper()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # deriva.transfer uses distutils
def test_a_class_that_the_operator_lists_says_more_of_a_file(lab, module):
    kind = f"{module(SHOUT)}.Shout"

    record, _ = lab.bring(pre("x", kind) | columns(Notes="{loud}"), allowed=[kind])

    assert record.state == "uploaded", record.why
    assert lab.row()["Notes"] == lab.name.upper()


def test_a_class_that_is_not_listed_is_not_even_imported(lab, module):
    name = module("raise SystemExit('imported')")

    record, _ = lab.bring(pre("x", f"{name}.Anything"))

    assert record.state == "waiting"
    assert name not in sys.modules


def test_a_class_that_fails_refuses_its_file_and_no_other(lab, module):
    kind = (
        module(
            """
            class Picky:
                def __init__(self, **facts):
                    self.path = facts["file_path"]

                def process(self):
                    if "bad" in self.path:
                        raise ValueError("I do not like it")
            """
        )
        + ".Picky"
    )
    files = {lab.path: lab.rid, f"scans/{lab.rid}/bad.tif": "x"}

    record, _ = lab.bring(pre("x", kind), files=files, allowed=[kind])

    assert record.state == "refused"
    assert lab.states() == {lab.path: "linked", f"scans/{lab.rid}/bad.tif": "refused"}
    assert lab.whys() == ["ValueError: I do not like it"]


def test_each_file_is_sent_with_what_its_own_processor_made(lab, module):
    """deriva-py would send what it made of the first one for all that follow."""
    kind = (
        module(
            """
            import os, pathlib, tempfile

            class Reverse:
                def __init__(self, **facts):
                    self.facts = facts

                def process(self):
                    path = pathlib.Path(self.facts["file_path"])
                    if "plain" in path.name:
                        return
                    made = pathlib.Path(tempfile.mkdtemp()) / path.name
                    made.write_bytes(path.read_bytes()[::-1] + b"!")
                    self.facts["processor_output"]["processor_modified_file_path"] = str(made)
            """
        )
        + ".Reverse"
    )
    folder = f"scans/{lab.rid}"
    files = {f"{folder}/{name}{lab.rid}.tif": name for name in ("abc", "plain", "xyz")}

    record, _ = lab.bring(pre("x", kind), files=files, allowed=[kind])

    assert record.state == "uploaded", record.why
    rows = {row["Name"].removesuffix(lab.rid): row for row in lab.rows()}
    sent = {name: lab.api.content(row["URL"]).decode() for name, row in rows.items()}
    assert sent == {"abc": "cba!", "plain": "plain", "xyz": "zyx!"}
    assert [rows[name]["Length"] for name in sent] == [len(text) for text in sent.values()]


def test_a_processor_may_come_last(lab, module):
    kind = (
        module(
            """
            import pathlib

            class Note:
                def __init__(self, **facts):
                    self.facts = facts

                def process(self):
                    file = pathlib.Path(self.facts["processor_params"]["file"])
                    file.write_text(self.facts["metadata"]["URI"])
            """
        )
        + ".Note"
    )
    file = lab.folder / "note.txt"
    last = {"processor": "x", "processor_type": kind, "processor_params": {"file": str(file)}}

    lab.bring({"post_processors": [last]}, allowed=[kind])

    assert file.read_text() == lab.row()["URL"]


# ---------------------------------------------------------------- bags


BAG = {
    "dir_pattern": "/runs/(?P<subject>[^/]+)/?",
    "file_pattern": "",
    "column_map": {"Name": "{file_name}", "URL": "{URI}", "MD5": "{md5}", "Length": "{file_size}"},
    "hatrac_templates": {"hatrac_uri": "/hatrac/lab/bags/{md5}.{file_name}"},
    "record_query_template": "/entity/{target_table}/Name={file_name}",
    "pre_processors": [{"processor": "BagArchiveProcessor"}],
}


def run(lab):
    return {f"runs/{lab.name}/a.txt": "one", f"runs/{lab.name}/sub b/c.txt": lab.rid}


def bag(lab):
    """Return the mapping that takes the whole run, and not a bag for each folder in it."""
    root = lab.folder / "data" / "deriva-ml" / "execution" / lab.rid / "runs"
    return BAG | {"dir_pattern": f"(?P<archive_path>{root}/[^/]+)/"}


def content_of(lab):
    (row,) = (row for row in lab.api.rows("lab:Scan") if row["Name"] == f"{lab.name}.zip")
    body = lab.api.content(row["URL"])
    assert row["Length"] == len(body)
    with zipfile.ZipFile(BytesIO(body)) as archive:
        return {
            name.removeprefix(f"{lab.name}/data/"): archive.read(name).decode()
            for name in archive.namelist()
            if "/data/" in name and not name.endswith("/")
        }


def test_a_directory_becomes_one_bag_and_stays_as_it_is(lab):
    record, _ = lab.bring(bag(lab), files=run(lab))

    root = lab.folder / "data" / "deriva-ml" / "execution" / lab.rid
    assert record.state == "uploaded", record.why
    assert lab.states() == {f"runs/{lab.name}": "linked"}
    assert content_of(lab) == {"a.txt": "one", "sub b/c.txt": lab.rid}
    below = {str(p.relative_to(root)) for p in (root / "runs").rglob("*") if p.is_file()}
    assert below == run(lab).keys()
    assert not [*(lab.folder / "state" / "bags").iterdir()]


@pytest.mark.parametrize(
    ("call", "number"), [("store.finish_job", 0), ("catalog.insert", 0), ("journal.commit", 2)]
)
def test_a_bag_is_made_again_with_the_same_bytes_after_a_crash(lab, call, number):
    lab.write(run(lab))
    with pytest.raises(Crash):
        lab.bring(bag(lab), files={}, power=Power(call, number, after=True))
    for made in (lab.folder / "state" / "bags").rglob("*.zip"):
        made.unlink()  # as if the crash took it along

    for _ in range(2):
        record, _ = lab.bring(bag(lab), files={})

    assert record.state == "uploaded", record.why
    assert content_of(lab) == {"a.txt": "one", "sub b/c.txt": lab.rid}
    names = [name for name in lab.api.versions() if name.endswith(f"{lab.name}.zip")]
    assert len(names) == 1


def test_a_file_that_changes_makes_another_bag(lab):
    lab.bring(bag(lab), files=run(lab))

    lab.bring(bag(lab), files={f"runs/{lab.name}/a.txt": "other"})

    assert content_of(lab)["a.txt"] == "other"
