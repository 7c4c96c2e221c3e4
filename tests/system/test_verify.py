"""`verify` names what the server, the disk or a receipt has another way, and changes nothing."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from deriva_watch.commands.verify import verifying
from deriva_watch.core.errors import TroubleError
from deriva_watch.pipeline.receipt_schema import SCHEMA
from running import command, daemon, detailed, requests_seen, sandbox, write_files
from system.trusted import (
    Scene,
    change_row,
    cut_object,
    edit,
    edit_in_secret,
    empty_object,
    link_elsewhere,
    lose_link,
    lose_object,
    lose_row,
    lose_type,
    rot_object,
)

SUBJECTS = "table/demo/Subject/Subject.csv"  # rows have a key, Name
VISITS = "table/demo/Observation/Observation.csv"  # rows have none
RECEIPT = "deriva-watch-receipt.json"


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("verify") / "data") as ready:
        yield ready


@pytest.fixture
def scene(tmp_path, ready):
    scene = Scene(tmp_path, ready)
    assert scene.upload() == "uploaded"
    return scene


def found(verified):
    """Return where and at which path something differs."""
    return sorted((each.where.value, each.path) for each in verified.differences)


def test_what_is_as_it_was_uploaded_is_told_with_what_was_asked(scene):
    told = scene.verify()

    assert told.differences == ()
    assert (told.files, told.hashed, told.absent) == (3, 3, 0)
    assert told.size_bytes == sum(map(len, scene.files.values()))


def test_every_receipt_is_as_its_schema_says(scene):
    receipt = scene.receipt()

    jsonschema.validate(receipt, SCHEMA)
    assert json.loads((scene.root / RECEIPT).read_text()) == receipt
    assert scene.line(scene.typed)["types"] == ["Model_File"]
    assert receipt["linked_to"] == scene.rid
    assert receipt["software"].keys() == {"deriva-watch", "deriva", "python"}
    assert len(receipt["spec_sha256"]) == 64
    assert receipt["began_at"] < receipt["written_at"]
    printed = command(scene.config, "verify", "--receipt-schema")
    assert json.loads(printed.stdout) == SCHEMA
    bad = {**receipt, "files": [{**receipt["files"][0], "md5": "?"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, SCHEMA)


# ------------------------------------------------------------------ the server


LOSSES = {
    lose_row: "is not in deriva-ml:Execution_Asset any more",
    lose_object: "is gone",
    change_row: "Length = 1, not",
    lose_link: "is no longer linked to Execution",
    lose_type: "no longer has the asset type Model_File",
}


def test_what_the_server_lost_or_changed_is_named_with_the_journal_and_without(scene):
    expected = {}
    for loss, said in LOSSES.items():
        expected[f"execution-asset/Model_File/{loss.__name__}"] = said
    assert scene.upload({path: f"{scene.rid} {path}" for path in expected}) == "uploaded"
    for loss, path in zip(LOSSES, expected, strict=True):
        loss(scene, scene.line(path))

    with_journal = scene.verify(server_only=True)
    scene.lose_journal()
    told = scene.verify()

    assert with_journal.hashed == 0
    for each in (with_journal, told):
        assert found(each) == [("server", path) for path in sorted(expected)]
        why = {d.path: d.why for d in each.differences}
        assert all(said in why[path] for path, said in expected.items())


def told_command(scene, text):
    """Give the command that a message names; return its arguments."""
    [line] = re.findall(r"`deriva-watch ([^`]*)`", text)
    name, *arguments = shlex.split(line)
    done = command(scene.config, name, *arguments)
    assert done.returncode == 0, done.stderr
    return [name, *arguments]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_the_server_lost_is_brought_again_as_the_message_says(scene, loss):
    """Its row stays the one that others refer to, unless that was lost."""
    before = scene.line(scene.typed)
    loss(scene, before)
    nexts = {each.next for each in scene.verify().differences}
    assert len(nexts) == 1

    assert told_command(scene, nexts.pop()) == ["retry", scene.rid, scene.typed]

    assert scene.upload({}) == "uploaded"
    assert scene.verify(read_back=True).differences == ()
    after = scene.line(scene.typed)
    assert (after["rid"] == before["rid"]) == (loss not in {lose_row, change_row})
    assert (after["object"] == before["object"]) == (loss not in {lose_object, change_row})


def test_an_object_that_was_lost_with_its_name_is_sent_again_where_the_file_is_only_touched(scene):
    line = scene.line(scene.typed)
    scene.api.call("DELETE", scene.api.url + line["object"].rpartition(":")[0])
    (scene.root / scene.typed).touch()

    assert scene.upload({}) == "refused"
    [file] = [each for each in detailed(scene.config, scene.rid)["files"] if each["why"]]
    assert "not available" in file["why"]


def test_an_object_that_a_row_of_others_names_is_not_replaced(scene):
    """The message names no command that would be refused."""
    other = Scene(scene.config.parents[1], scene.ready)
    path = "execution-asset/Model_File/same.bin"
    for each in (scene, other):
        assert each.upload({path: f"{scene.rid} same"}) == "uploaded"
    line = other.line(path)
    lose_object(scene, line)
    other.lose_journal()
    assert all("`" not in each.next for each in other.verify().differences)
    assert other.upload({}) == "refused"


def test_a_server_that_is_away_is_no_difference(scene):
    text = scene.config.read_text()
    scene.config.write_text(text.replace(scene.api.url.removeprefix("http://"), "127.0.0.1:9"))

    told = command(scene.config, "verify", scene.rid, "--json")

    assert told.returncode in {2, 10}
    assert "error" in json.loads(told.stdout)


DAMAGE = {
    empty_object: "ends after 0 bytes",
    cut_object: "ends after",
    rot_object: "another MD5 or SHA-256",
}


def test_bytes_that_the_disk_of_the_server_lost_are_found_by_reading_them_back(scene):
    """Its database does not know; every object is asked for in parts."""
    for damage, path in zip(DAMAGE, scene.files, strict=True):
        damage(scene, scene.line(path))
    asked = len(requests_seen(scene.ready))

    told = scene.verify(read_back=True)

    assert scene.verify().differences == ()
    assert found(told) == [("server", path) for path in sorted(scene.files)]
    why = {each.path: each.why for each in told.differences}
    assert all(said in why[path] for said, path in zip(DAMAGE.values(), scene.files, strict=True))
    reads = [
        each["status"]
        for each in requests_seen(scene.ready)[asked:]
        if (each["method"], each["path"][:8]) == ("GET", "/hatrac/")
    ]
    assert reads
    assert set(reads) == {206}


def test_reading_back_goes_on_where_it_was_interrupted(scene):
    first = scene.paths[0]
    damaged = scene.line(scene.typed)
    empty_object(scene, damaged)
    with verifying(scene.settings()) as verifier:
        (subject,) = verifier.find.named([scene.rid])

        def die(path, count):
            if count and path != first:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            replace(verifier, moved=die).verify(subject, server_only=True, read_back=True)
    empty_object(scene, scene.line(first))  # which is not read again
    again = scene.verify(read_back=True)
    whole = scene.verify(read_back=True)

    assert found(again) == [("server", scene.typed)]
    assert found(whole) == [("server", first), ("server", scene.typed)]


def test_a_receipt_says_which_proof_was_made_and_when(scene):
    receipt = scene.receipt()
    assert "proof" not in receipt
    plain = command(scene.config, "verify", scene.rid, "--server-only")
    weak = scene.receipt()["proof"]
    bytes_ = command(scene.config, "verify", scene.rid, "--bytes")
    proof = scene.receipt()["proof"]

    assert (plain.returncode, bytes_.returncode) == (0, 0), bytes_.stderr
    assert "3 objects read back" in bytes_.stdout.replace("\n", " ")
    assert (weak["read_back"], weak["local"]) == ("none", False)
    assert (proof["read_back"], proof["local"], proof["files"]) == ("all", True, 3)
    assert receipt["written_at"] < weak["at"] < proof["at"]
    jsonschema.validate(scene.receipt(), SCHEMA)
    assert json.loads((scene.root / RECEIPT).read_text()) == scene.receipt()
    assert {**receipt, "proof": proof} == scene.receipt()
    assert scene.upload({}) == "uploaded"


# ------------------------------------------------------------------ the disk


def test_what_lies_here_and_is_another_is_named(scene):
    for change, path in zip((edit, edit_in_secret, link_elsewhere), scene.files, strict=True):
        change(scene.root / path)

    told = scene.verify()

    assert found(told) == [("disk", path) for path in sorted(scene.files)]
    assert "the disk may be failing" not in told.differences[1].next  # its change time tells
    assert scene.verify(server_only=True).differences == ()


@pytest.mark.parametrize("change", [edit, edit_in_secret])
def test_what_was_changed_here_is_uploaded_as_the_message_says(scene, change):
    change(scene.root / scene.typed)
    write_files(scene.root, {"execution-asset/Model_File/late.bin": f"late {scene.rid}"})
    nexts = {each.next for each in scene.verify().differences}

    assert [told_command(scene, each) for each in nexts] == [["upload", str(scene.root)]]
    assert scene.verify().differences == ()


def test_what_does_not_lie_here_any_more_is_counted(scene):
    (scene.root / scene.paths[0]).unlink()

    told = scene.verify()

    assert (told.differences, told.hashed, told.absent) == ((), 2, 1)


def test_what_was_never_uploaded_is_named(scene):
    write_files(scene.root, {"late.bin": "late", ".DS_Store": "ignored", "asset-manifest.json": ""})

    assert found(scene.verify()) == [("left", "late.bin")]
    assert scene.upload({"late.bin": "late"}) != "filling"
    assert found(scene.verify()) == [("left", "asset-manifest.json"), ("left", "late.bin")]


def test_what_comes_in_the_place_of_a_file_that_was_removed_is_named(scene):
    """It may get its inode, or its name, and was never sent."""
    scene.upload({**scene.files, "stray.txt": "stray"})
    (scene.root / "stray.txt").unlink()
    scene.upload({})
    uploaded = scene.root / next(iter(scene.files))
    uploaded.unlink()
    fresh = uploaded.with_name("fresh.bin")
    fresh.write_text("never uploaded")
    (scene.root / "stray.txt").write_text("another, never uploaded")

    named = {each.path for each in scene.verify().differences}

    assert {str(fresh.relative_to(scene.root)), "stray.txt"} <= named


def test_rows_that_are_lost_are_counted_by_their_file(scene):
    subject = scene.api.insert("demo:Subject", {"Name": f"of {scene.rid}"})[0]["RID"]
    dates = "".join(f"{subject},2026-02-{day:02}\n" for day in range(1, 4))
    files = {VISITS: f"Subject,Observation_Date\n{dates}", SUBJECTS: f"Name\n{scene.rid} new\n"}
    assert scene.upload(files) == "uploaded"
    well = scene.verify()
    assert (well.differences, well.notes) == ((), ())
    unread = scene.verify(server_only=True)
    assert [note.partition(":")[0] for note in unread.notes] == [SUBJECTS]

    gone = f"{scene.api.catalog}/entity/demo:Observation/Subject={subject}"
    scene.api.call("DELETE", f"{gone}&Observation_Date=2026-02-02")
    scene.api.call("DELETE", f"{scene.api.catalog}/entity/demo:Subject/Name={scene.rid} new")
    with_journal = scene.verify()
    scene.lose_journal()
    without = scene.verify()

    assert found(with_journal) == [("server", VISITS), ("server", SUBJECTS)]
    assert "its row is no longer in demo:Subject" in with_journal.differences[1].why
    assert found(without) == [("server", VISITS)]
    for told in (with_journal, without):
        assert "1 of its rows are not in demo:Observation" in told.differences[0].why


# ------------------------------------------------------------------ receipts


def test_with_nothing_but_the_copy_beside_the_files_it_is_verified(scene):
    shutil.rmtree(scene.state)

    told = scene.verify()

    assert (told.differences, told.files, told.hashed) == ((), 3, 3)


def test_a_receipt_that_says_otherwise_than_the_journal_is_named(scene):
    scene.forge(scene.paths[0], md5="0" * 32)

    told = scene.verify()

    assert found(told) == [("receipt", scene.paths[0])]
    assert "0" * 32 in told.differences[0].why


FORGED = [
    ({"md5": "0" * 32}, "server"),
    ({"rid": "9-ZZZZ"}, "server"),
    ({"object": "/hatrac/no/such:1"}, "server"),
    ({"file": "../../../../../../etc/passwd"}, "left"),  # what lies here is not known then
    ({"object": "@example.org/hatrac/x"}, "receipt"),
    ({"size_bytes": "many"}, "receipt"),
]


def test_a_forged_receipt_proves_nothing_where_the_journal_is_lost(scene):
    """It can at most lead to a question; no file outside of the directory is read."""
    scene.lose_journal()
    kept = scene.kept().read_bytes()
    for said, where in FORGED:
        scene.forge(scene.paths[0], **said)

        told = scene.verify()

        assert where in {each.where for each in told.differences}, said
        assert told.hashed == (0 if where == "receipt" else 3 - ("file" in said))
        scene.kept().write_bytes(kept)


def test_a_receipt_of_another_server_is_not_used(scene):
    receipt = {**scene.receipt(), "server": "other.example.org/1"}
    scene.kept().write_text(json.dumps(receipt))
    scene.lose_journal()

    assert ("receipt", None) in found(scene.verify())


def test_what_nobody_knows_is_said(scene):
    with verifying(scene.settings()) as verifier, pytest.raises(TroubleError, match="9-ZZZZ"):
        verifier.find.named(["9-ZZZZ"])


# ------------------------------------------------------------------ the command


def test_the_command_tells_people_and_programs_beside_a_daemon(scene):
    with daemon(scene.config) as running:
        well = command(scene.config, "verify", "--all")
        lose_row(scene, scene.line(scene.typed))
        bad = command(scene.config, "verify", scene.rid, "--json")
        assert running.process.poll() is None

    assert (well.returncode, well.stdout[:1]) == (0, "✓"), well.stdout + well.stderr
    document = json.loads(bad.stdout)
    assert (bad.returncode, document["well"]) == (3, False)
    (execution,) = document["executions"]
    assert execution["differences"][0]["where"] == "server"
    assert Path(next(scene.state.rglob("*.verified.json"))).stat().st_mode & 0o777 == 0o600
