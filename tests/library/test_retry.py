"""`upload_directory` when something fails: what may pass is tried again, a kill costs no bytes."""

import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from deriva.core import ErmrestCatalog

from core.given import IMAGE
from deriva_watch import DerivaMLException, upload_asset, upload_directory
from engine.rig import image
from library.conftest import model_of
from running import Api, Gate, requests_seen, sandbox, wait_until, write_files

_UPLOAD = """
import json, sys
from deriva.core import ErmrestCatalog
from deriva_watch import DerivaModel, upload_directory
host, catalog, token, root = sys.argv[1:]
model = DerivaModel(ErmrestCatalog("http", host, catalog, {"bearer-token": token}))
upload_directory(model, root, chunk_size=1000)
"""


@pytest.fixture
def faulty(tmp_path):
    """Start a server with one rule; return it with an execution that has one image."""
    running = []

    def faulty(**rule):
        file = tmp_path / "faults.json"
        file.write_text(json.dumps([rule]))
        manager = sandbox(tmp_path / "server", faults=file)
        running.append(manager)
        ready = manager.__enter__()
        rid = Api(ready).execution()
        root = tmp_path / "data/deriva-ml/execution" / rid
        write_files(root, {image("a.png"): f"a of {rid}"})
        return ready, root

    yield faulty
    for manager in running:
        manager.__exit__(None, None, None)


def retrying(heard):
    return [progress.message for progress in heard if progress.phase == "retrying"]


def test_what_may_pass_is_tried_again_with_doubling_waits(faulty):
    ready, root = faulty(
        action="reset_before", method="PUT", route="/hatrac/Image/", nth=[1, 2, 3, 4]
    )
    heard = []

    results = upload_directory(model_of(ready), root, heard.append, retry_delay=0.2)

    assert retrying(heard) == [
        "Retrying 1 failed upload(s) in 0.2s (attempt 1/3)",
        "Retrying 1 failed upload(s) in 0.4s (attempt 2/3)",
    ]
    assert len(results) == 1
    assert len(Api(ready).rows(str(IMAGE))) == 1


def test_a_busy_server_is_tried_again_too(faulty):
    ready, root = faulty(
        action="status", status=503, method="PUT", route="/hatrac/Image/", nth=[*range(1, 8)]
    )
    heard = []

    assert len(upload_directory(model_of(ready), root, heard.append, retry_delay=0.01)) == 1

    assert len(retrying(heard)) == 1


def test_in_the_end_every_failed_file_is_named_and_another_call_goes_on(faulty):
    ready, root = faulty(
        action="reset_before", method="PUT", route="/hatrac/Image/", nth=[1, 2, 3, 4]
    )
    model = model_of(ready)

    with pytest.raises(DerivaMLException) as failure:
        upload_directory(model, root, max_retries=1, retry_delay=0.01)

    assert re.fullmatch(
        rf"Failed to upload 1 file\(s\) after 1 retries: {root / image('a.png')}: .*"
        "does not answer: .*",
        str(failure.value),
    )
    assert len(upload_directory(model, root)) == 1


def test_a_lost_answer_doubles_nothing(faulty):
    ready, root = faulty(action="reset_after", method="POST", route="/entity/demo:Image", nth=1)

    (state,) = upload_directory(model_of(ready), root, retry_delay=0.01).values()

    assert Api(ready).rows(str(IMAGE)) == [state.result]


def test_no_retry_is_one_try(faulty):
    ready, root = faulty(action="reset_before", method="PUT", route="/hatrac/Image/")

    with pytest.raises(DerivaMLException, match="after 0 retries"):
        upload_directory(model_of(ready), root, max_retries=0, retry_delay=60)


def test_a_server_that_is_away_is_named(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        model, rid = model_of(ready), Api(ready).execution()
    root = tmp_path / "data/deriva-ml/execution" / rid
    write_files(root, {image("a.png"): "a"})

    with pytest.raises(DerivaMLException, match=rf"after 1 retries: {root}: .*does not answer"):
        upload_directory(model, root, max_retries=1, retry_delay=0.01)
    with pytest.raises(DerivaMLException, match="does not answer"):
        upload_asset(model, root / image("a.png"), model.name_to_table("Image"), Subject="1-S001")


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ({"bearer-token": "expired"}, "does not accept our credential|has no session"),
        (None, "no credential"),
    ],
)
def test_a_credential_that_does_not_count_is_not_tried_again(ready, tmp_path, credentials, why):
    catalog = ErmrestCatalog("http", ready["host"], ready["catalog"], credentials)
    write_files(tmp_path / "data", {"a.png": "a"})

    with pytest.raises(DerivaMLException, match=why):
        upload_directory(SimpleNamespace(catalog=catalog), tmp_path / "data", retry_delay=60)


def test_a_killed_upload_goes_on_with_the_chunk_where_it_stopped(tmp_path):
    gate = Gate(tmp_path, r";upload/[^/]+/([89]|\d\d)$")  # eight chunks get through
    gate.close()
    with sandbox(tmp_path / "server", faults=gate.faults) as ready:
        api, model = Api(ready), model_of(ready)
        rid = api.execution()
        root = tmp_path / "data/deriva-ml/execution" / rid
        content = os.urandom(40_500)
        write_files(root, {image("large.png"): content, image("small.png"): b"small"})

        token = model.catalog.deriva_server.credentials["bearer-token"]
        arguments = (ready["host"], ready["catalog"], token, str(root))
        command = [sys.executable, "-c", _UPLOAD, *arguments]
        with subprocess.Popen(command, start_new_session=True) as process:
            wait_until(lambda: len(_chunks(ready)) == 8)
            process.send_signal(signal.SIGKILL)
        gate.open()

        results = upload_directory(model, root, chunk_size=1000)

        assert len(results) == 2
        assert len(_chunks(ready)) <= 41 + 16  # those that were under way
        jobs = [seen for seen in requests_seen(ready) if _opens_job(seen)]
        assert len(jobs) == 1
        (row,) = [row for row in api.rows(str(IMAGE)) if row["Filename"] == "large.png"]
        assert api.content(row["URL"]) == content


def _chunks(ready):
    return [
        seen
        for seen in requests_seen(ready)
        if seen["method"] == "PUT" and re.search(r";upload/.+/\d+$", seen["path"])
    ]


def _opens_job(seen):
    return seen["method"] == "POST" and re.search(r";upload(\?.*)?$", seen["path"])
