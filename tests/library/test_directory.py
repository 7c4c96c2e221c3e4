"""`upload_directory`: what is in afterwards, and what the caller hears."""

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.given import IMAGE
from deriva_watch import DerivaMLException, UploadState, upload_directory
from deriva_watch.edges.journal import Journal
from engine.rig import image
from running import requests_seen, write_files


@pytest.fixture
def rid(api):
    return api.execution()


@pytest.fixture
def root(tmp_path, rid):
    """The directory of an execution."""
    folder = tmp_path / "data/deriva-ml/execution" / rid
    folder.mkdir(parents=True)
    return folder


def rows_of(api, table, name):
    return [row for row in api.rows(str(table)) if row["Filename"] == name]


def executions_of(api, asset, row):
    """Return the executions that a row is linked to."""
    links = api.rows(f"{asset.schema}:{asset.table}_Execution")
    return [link["Execution"] for link in links if link[asset.table] == row["RID"]]


def test_an_execution_is_uploaded_with_rows_and_links(api, model, rid, root):
    write_files(
        root, {image("a.png"): "one", "asset/deriva-ml/Execution_Asset/b.json": f"two {rid}"}
    )

    results = upload_directory(model, root)

    assert set(results) == {
        str(root / image("a.png")),
        str(root / "asset/deriva-ml/Execution_Asset/b.json"),
    }
    result = results[str(root / image("a.png"))]
    assert (result.state, result.status) == (UploadState.success, "Complete")
    (row,) = [row for row in api.rows(str(IMAGE)) if row["RID"] == result.result["RID"]]
    assert row == result.result
    assert (row["Filename"], row["Subject"]) == ("a.png", "1-S001")
    assert rid in executions_of(api, IMAGE, row)
    assert api.status(rid) == "Uploaded"
    assert api.content(row["URL"]) == b"one"


def test_a_second_call_sends_nothing_and_returns_the_same(ready, model, rid, root):
    write_files(root, {image("again.png"): f"again {rid}"})
    first = upload_directory(model, str(root))
    before = len(requests_seen(ready))

    second = upload_directory(model, str(root))

    assert second == first
    assert {r["method"] for r in requests_seen(ready)[before:]} == {"GET"}


def test_a_row_that_was_deleted_is_made_again(api, model, rid, root):
    write_files(root, {image("lost.png"): f"lost {rid}"})
    (first,) = upload_directory(model, root).values()
    for table in (
        f"demo:Image_Execution/Image={first.result['RID']}",
        f"demo:Image/RID={first.result['RID']}",
    ):
        api.call("DELETE", f"{api.catalog}/entity/{table}")

    (second,) = upload_directory(model, root).values()

    assert second.result["RID"] != first.result["RID"]
    assert len(rows_of(api, IMAGE, "lost.png")) == 1


def test_only_the_files_below_the_folder_are_taken(api, model, rid, root):
    """They are linked all the same, and the Execution is not called Uploaded."""
    write_files(
        root,
        {
            image("in.png"): f"in {rid}",
            "asset/deriva-ml/Execution_Asset/out.bin": f"out {rid}",
            "asset-type/demo/Image.jsonl": '{"in.png": ["Image"]}\n',
        },
    )

    results = upload_directory(model, root / "asset/demo")

    assert set(results) == {str(root / image("in.png"))}
    (row,) = rows_of(api, IMAGE, "in.png")[-1:]
    assert rid in executions_of(api, IMAGE, row)
    types = api.rows("demo:Image_Asset_Type")
    assert "Image" in [link["Asset_Type"] for link in types if link["Image"] == row["RID"]]
    assert rows_of(api, "deriva-ml:Execution_Asset", "out.bin") == []
    assert api.status(rid) == "Stopped"
    assert not (root / "deriva-watch-receipt.json").exists()


@pytest.mark.parametrize("above", ["", "deriva-ml", "deriva-ml/execution"])
def test_a_folder_that_holds_executions_is_uploaded_one_by_one(api, model, tmp_path, above):
    rids = [api.execution(), api.execution()]
    for rid in rids:
        write_files(
            tmp_path / "data/deriva-ml/execution" / rid, {image(f"{rid}.png"): f"one of {rid}"}
        )

    results = upload_directory(model, tmp_path / "data" / above)

    assert len(results) == 2
    for rid in rids:
        (row,) = rows_of(api, IMAGE, f"{rid}.png")
        assert executions_of(api, IMAGE, row) == [rid]


def test_a_link_to_a_file_elsewhere_is_followed(model, rid, root, tmp_path):
    """Both of its names are in the result, and it is one asset."""
    far = tmp_path / "far.bin"
    far.write_text(f"far {rid}")
    for name in ("assets/Execution_Asset/far.bin", "asset/deriva-ml/Execution_Asset/far.bin"):
        (root / name).parent.mkdir(parents=True)
        (root / name).symlink_to(far)

    results = upload_directory(model, root)

    assert len(results) == 2
    assert len({state.result["RID"] for state in results.values()}) == 1


def test_what_lies_in_no_execution_is_no_error_and_named_once(model, tmp_path, caplog):
    write_files(tmp_path / "loose", {"notes.txt": "n", "deep/er/b.bin": "b", ".DS_Store": ""})

    with caplog.at_level(logging.INFO, "deriva_watch"):
        results = upload_directory(model, tmp_path / "loose")

    assert results == {}
    said = [r.getMessage() for r in caplog.records if "are not uploaded" in r.getMessage()]
    assert len(said) == 2
    assert "2 files of" in said[0]
    assert "notes.txt" in said[0]
    assert "deep/er/b.bin" in said[0]
    assert ".DS_Store" in said[1]


def test_unmatched_files_do_not_stop_the_others(model, rid, root, caplog):
    write_files(root, {image("ok.png"): f"ok {rid}", "notes.txt": "n"})

    results = upload_directory(model, root)

    assert set(results) == {str(root / image("ok.png"))}
    assert f"1 files of {root} are not uploaded" in caplog.text


def test_an_empty_directory_is_an_empty_result(model, tmp_path):
    assert upload_directory(model, tmp_path) == {}


def test_no_directory_is_refused(model, tmp_path):
    with pytest.raises(DerivaMLException, match="there is no such directory"):
        upload_directory(model, tmp_path / "absent")


def test_an_execution_that_does_not_exist_is_refused(model, tmp_path):
    root = write_files(tmp_path / "deriva-ml/execution/9-ZZZZ", {image("a.png"): "a"})

    with pytest.raises(DerivaMLException, match=r"9-ZZZZ.*no such Execution") as refusal:
        upload_directory(model, root, retry_delay=60)

    assert "deriva-watch" not in str(refusal.value)


def test_every_bad_file_is_named_and_the_others_are_in(api, model, rid, root):
    """A refusal is not tried again."""
    write_files(
        root,
        {
            image("good.png"): f"good {rid}",
            image("bad.png", subject="1-NONE"): "bad",
            image("worse.png", subject="__NULL__"): "worse",
        },
    )

    with pytest.raises(DerivaMLException, match=r"Failed to upload 2 file\(s\)") as refusal:
        upload_directory(model, root, retry_delay=60)

    assert f"{root / image('bad.png', subject='1-NONE')}: " in str(refusal.value)
    assert "worse.png: column Subject must have a value" in str(refusal.value)
    assert len(rows_of(api, IMAGE, "good.png")) == 1


# ---------------------------------------------------------------------- progress


def test_progress_counts_files_and_runs_in_the_callers_thread(model, rid, root):
    write_files(root, {image(f"{n}.png"): f"{n} of {rid}" for n in range(3)} | {"notes.txt": ""})
    heard, threads = [], set()

    def callback(progress):
        heard.append(progress)
        threads.add(threading.current_thread())

    upload_directory(model, root, callback)

    assert threads == {threading.current_thread()}
    assert {progress.phase for progress in heard} == {"uploading"}
    begun = [p.message for p in heard if p.message.startswith("Uploading")]
    assert begun == [f"Uploading file {n} of 3" for n in (1, 2, 3)]
    percents = [progress.percent_complete for progress in heard]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert {p.file_name for p in heard} == {"0.png", "1.png", "2.png"}
    assert {p.file_path for p in heard} == {str(root / image(f"{n}.png")) for n in range(3)}


def test_what_is_in_already_counts_from_the_beginning(model, rid, root):
    write_files(root, {image("old.png"): f"old {rid}"})
    upload_directory(model, root)
    write_files(root, {image("new.png"): f"new {rid}"})
    heard = []

    upload_directory(model, root, heard.append)

    assert [(p.message, p.percent_complete) for p in heard] == [
        ("1 of 2 files are already in the catalog", 50),
        ("Uploading file 2 of 2", 50),
        ("Uploaded file 2 of 2", 100),
    ]


def test_large_files_tell_their_chunks(model, rid, root):
    write_files(root, {image("large.png"): rid.encode() * 500})
    size = len(rid) * 500
    heard = []

    upload_directory(model, root, heard.append, chunk_size=1000)

    chunks = [p for p in heard if p.phase == "uploading_chunks"]
    count = -(-size // 1000)
    assert chunks[-1].message == f"Uploading large file: chunk {count} of {count}"
    assert (chunks[-1].bytes_completed, chunks[-1].bytes_total) == (size, size)
    assert chunks[-1].percent_complete == 100
    assert {p.file_name for p in chunks} == {"large.png"}


def test_a_callback_that_raises_does_not_stop_the_upload(model, rid, root, caplog):
    write_files(root, {image(f"{n}.png"): f"{n} with {rid}" for n in range(2)})

    def callback(progress):
        raise ZeroDivisionError(progress.message)

    results = upload_directory(model, root, callback)

    assert len(results) == 2
    traces = [record for record in caplog.records if record.exc_info]
    assert len(traces) == 1
    assert "the progress callback raised ZeroDivisionError 4 times" in caplog.text


def test_ctrl_c_in_a_callback_ends_the_upload(model, rid, root):
    """What was not sent goes up with the next call."""
    write_files(root, {image("a.png"): f"interrupted {rid}"})

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload_directory(model, root, interrupt)

    assert len(upload_directory(model, root)) == 1


# ---------------------------------------------------------------------- threads, journals


def test_it_runs_in_any_thread_and_in_several_at_once(api, model, tmp_path):
    roots = []
    for _ in range(2):
        rid = api.execution()
        files = {image(f"{rid}-{n}.png"): f"{n} of {rid}" for n in range(5)}
        roots.append(write_files(tmp_path / "data/deriva-ml/execution" / rid, files))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda root: upload_directory(model, root), roots))

    assert [len(result) for result in results] == [5, 5]


def test_two_cannot_work_on_one_directory(model, rid, root, state):
    write_files(root, {image("a.png"): f"held {rid}"})
    upload_directory(model, root)
    (journal,) = state.rglob("journal.db")

    with (
        Journal.open(f"sqlite:///{journal}", emit=lambda _: None),
        pytest.raises(DerivaMLException, match=f"{root}: it is being uploaded, process "),
    ):
        upload_directory(model, root)

    assert len(upload_directory(model, root)) == 1


def test_no_secret_is_written_down(model, rid, root, state):
    write_files(root, {image("a.png"): f"secret {rid}"})
    upload_directory(model, root)
    token = model.catalog.deriva_server.credentials["bearer-token"].encode()

    files = [file for file in state.rglob("*") if file.is_file()]

    assert files
    assert not [file for file in files if token in file.read_bytes()]


def test_without_its_journal_nothing_is_doubled(model, rid, root, state):
    write_files(root, {image("once.png"): f"once {rid}"})
    first = upload_directory(model, root)
    shutil.rmtree(state)

    assert upload_directory(model, root) == first


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"chunk_size": 0}, "transfer.chunk_bytes"),
        ({"chunk_size": 1 << 30}, "at most 128MiB"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(model, root, options, why):
    with pytest.raises(DerivaMLException, match=why):
        upload_directory(model, root, **options)
