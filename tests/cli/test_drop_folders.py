"""Drop folders on the command line: plan, spec, upload, without a daemon."""

import json
from types import SimpleNamespace

import pytest

from deriva_watch.core.spec.spec import Spec
from running import Api, command, sandbox, without_privilege, write_config, write_files

PATTERN = r"(?P<Subject>[^/]+)/(?P<Acquisition_Date>[-\d]+)/.+[.]png"
NAMED = {"Subject": {"table": "demo:Subject", "column": "Name"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


def toml(value):
    """Return a value as TOML has it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture
def folder(tmp_path, server):
    """A drop folder with two good files, one of an unknown subject and one that does not fit."""
    api, path = Api(server), tmp_path / "drop"
    name = f"Ann {tmp_path.name}"
    rid = api.insert("demo:Subject", {"Name": name})[0]["RID"]
    files = [f"{name}/2026-01-02/{n}.png" for n in "ab"] + ["Bob/2026-01-02/a.png", "notes.txt"]
    write_files(path, {file: f"{tmp_path} {file}" for file in files})

    def configured(**keys):
        said = {"path": str(path), "table": "Image", "pattern": PATTERN, "lookup": NAMED} | keys
        config = write_config(tmp_path / "settings", server, tmp_path / "data")
        text = "".join(f"{key} = {toml(value)}\n" for key, value in said.items())
        config.write_text(f"{config.read_text()}[[drop]]\n{text}")
        return config

    return SimpleNamespace(path=path, api=api, name=name, rid=rid, configured=configured)


def test_plan_tells_of_every_file_in_a_drop_folder_what_becomes_of_it(folder):
    config = folder.configured()

    told = command(config, "plan", folder.path, "--json")
    text = command(config, "plan", folder.path)

    assert told.returncode == text.returncode == 0
    (plan,) = json.loads(told.stdout).values()
    assert [asset["values"]["Subject"] for asset in plan["assets"]] == [folder.rid] * 2
    because = {left["path"]: left["because"] for left in plan["left"]}
    assert because == {"Bob/2026-01-02/a.png": "refused", "notes.txt": "unmatched"}
    assert "there is no row of demo:Subject with Name = 'Bob'" in plan["left"][0]["why"]
    assert "of the drop folder: after 'notes.txt', " in plan["left"][1]["why"]
    assert f"the drop folder {folder.path}" in text.stdout
    assert "a row of demo:Image" in text.stdout
    assert "is closest" not in text.stdout  # the reason says it


def test_plan_takes_each_directory_that_is_a_unit_or_one_alone(folder):
    config = folder.configured(unit="directory")

    every = json.loads(command(config, "plan", folder.path, "--json").stdout)
    one = json.loads(command(config, "plan", folder.path / folder.name, "--json").stdout)

    assert every.keys() == {"Bob", folder.name, str(folder.path)}
    assert [left["path"] for left in every[str(folder.path)]["left"]] == ["notes.txt"]
    assert "is beside the directories" in every[str(folder.path)]["left"][0]["why"]
    assert [asset["path"] for asset in one[folder.name]["assets"]] == [
        "2026-01-02/a.png",
        "2026-01-02/b.png",
    ]


def test_plan_says_what_a_drop_folder_takes_where_a_path_is_no_unit_of_it(folder):
    told = command(folder.configured(), "plan", folder.path / folder.name)

    assert told.returncode == 2
    assert f"the drop folder {folder.path} takes its files in batches" in told.stderr
    assert f"Name {folder.path}." in told.stderr


def test_spec_prints_what_a_drop_folder_is_compiled_to(folder):
    told = command(folder.configured(), "spec", folder.path)

    (mapping,) = Spec(json.loads(told.stdout)).mappings
    assert mapping.target == ("demo", "Image")
    assert mapping.groups.keys() == {"Subject", "Acquisition_Date"}


@pytest.mark.parametrize("name", ["plan", "spec", "upload"])
def test_a_drop_folder_that_the_catalog_cannot_take_is_refused_with_its_key(folder, name):
    told = command(folder.configured(table="Imag"), name, folder.path)

    assert told.returncode == 3
    assert "table: there is no table to call 'Imag'" in told.stdout + told.stderr


def test_spec_of_what_is_no_drop_folder_names_those_there_are(folder):
    told = command(folder.configured(), "spec", folder.path.parent)

    assert told.returncode == 2
    assert f"the settings have these: {folder.path}" in told.stderr


@pytest.mark.parametrize("unit", ["batch", "none", "directory"])
def test_upload_brings_in_what_lies_in_a_drop_folder_now(folder, unit):
    config = folder.configured(unit=unit)

    first = command(config, "upload", folder.path, "--json")
    write_files(folder.path, {f"{folder.name}/2026-03-04/late.png": f"{folder.path} late"})
    again = command(config, "upload", folder.path, "--json")

    assert first.returncode == again.returncode == 3  # nobody knows Bob
    rows = {r["RID"]: r for r in folder.api.rows("demo:Image") if r["Subject"] == folder.rid}
    assert sorted(row["Filename"] for row in rows.values()) == ["a.png", "b.png", "late.png"]
    links = [link["Image"] for link in folder.api.rows("demo:Image_Execution")]
    assert sum(link in rows for link in links) == (0 if unit == "none" else 3)
    if unit == "directory":
        states = {each["rid"]: each["state"] for each in json.loads(again.stdout)["executions"]}
        assert states == {"Bob": "refused", folder.name: "uploaded", ".": "refused"}


def test_upload_leaves_what_somebody_writes_and_is_done_when_all_is_in(folder):
    config = folder.configured(pattern=".*", columns={"Subject": folder.rid}, lookup={})
    with (folder.path / "notes.txt").open("a"):
        first = command(config, "upload", folder.path)
    second, third = (command(config, "upload", folder.path) for _ in range(2))

    assert "somebody has them open for writing" in first.stdout
    assert (first.returncode, second.returncode, third.returncode) == (3, 0, 0)
    assert third.stdout == "nothing new to upload\n"


def test_upload_names_a_folder_that_it_may_not_look_into(folder):
    config = folder.configured(pattern=".*", columns={"Subject": folder.rid}, lookup={})
    shut = folder.path / "shut"
    shut.mkdir()
    shut.chmod(0)

    told = command(config, "upload", folder.path, through=without_privilege())

    assert told.returncode == 3
    assert "shut: " in told.stdout
    assert "Let the user of deriva-watch read it." in told.stdout
