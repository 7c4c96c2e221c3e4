"""The server as a process: how it starts and ends, and what outlives it."""

import http.client
import signal
import stat
import time
from pathlib import Path

import pytest

from sandbox.asking import Client, ask_on
from sandbox.conftest import CONFORMANCE

SESSION = "/authn/session"


def test_the_ready_line_says_where_everything_is(lab):
    ready = lab.ready

    assert {"url", "host", "catalog", "data"} < set(ready)
    assert f"http://{ready['host']}" == ready["url"]
    assert ready["catalog"] == "1"
    assert str(lab.data) == ready["data"]


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_credential_files_are_for_their_owner_alone(lab, who):
    mode = Path(lab.ready[f"{who}_credential_file"]).stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_a_token_is_taken_as_bearer_and_as_cookie(lab):
    cookie = {"Cookie": f"other=1; webauthn={lab.writer.token}"}

    assert lab.writer.get(SESSION).status == 200
    assert lab.anonymous.get(SESSION, **cookie).json["client"]["id"] == "sandbox-writer"
    assert lab.anonymous.get(SESSION).status == 404


@pytest.mark.parametrize(
    "options",
    [
        ("--listen", "0.0.0.0:0"),
        ("--listen", "192.0.2.1:80"),
        ("--listen", "example.org:80"),
        ("--listen", "127.0.0.1"),
    ],
)
def test_it_listens_on_loopback_only(start, options):
    with pytest.raises(RuntimeError, match="loopback interface only"):
        start(*options)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ('[{"table": "demo:Subject", "rows": [{"Name": "a"}, {"Name": "a"}]}]', "UNIQUE"),
        ('[{"table": "demo:Nothing", "rows": [{}]}]', "does not exist"),
        ('[{"table": "demo:Observation", "rows": [{"Subject": "1-NONE"}]}]', "refers to"),
    ],
)
def test_rows_that_do_not_fit_make_no_catalog(start, tmp_path, rows, complaint):
    (tmp_path / "rows.json").write_text(rows)
    (tmp_path / "schema.json").write_text(built_in_schema())
    options = "--schema", str(tmp_path / "schema.json"), "--rows", str(tmp_path / "rows.json")

    with pytest.raises(RuntimeError, match=complaint):
        start(*options)

    assert start("--schema", options[1]).writer.get(SESSION).status == 200


def built_in_schema():
    from deriva_watch.sandbox.starter import schema_text

    return schema_text()


def test_a_folder_has_one_server(start):
    first = start()

    with pytest.raises(RuntimeError, match="another sandbox serves"):
        start(data=first.data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_on_a_signal_though_clients_are_connected(start, number):
    sandbox = start()
    connection = http.client.HTTPConnection(sandbox.ready["host"])
    ask_on(connection, "GET", SESSION)

    assert sandbox.stop(number) == (0, "")
    connection.close()


def test_what_was_acknowledged_survives_a_kill(start):
    """Rows, leases, objects, names, open jobs with their chunks, rights, tokens."""
    sandbox = start()
    writer = sandbox.writer
    row = writer.insert("demo:Subject", {"Name": "kept"}).json
    lease = writer.insert("public:ERMrest_RID_Lease", {"ID": "kept"}).json[0]["RID"]
    url = writer.store("Image/kept").text
    description = {"chunk-length": 4, "content-length": 8}
    job = writer.ask("POST", "/hatrac/Image/job;upload", rows=description).text
    writer.ask("PUT", f"{job}/0", body=b"kept")
    sandbox.owner.ask("PUT", "/ermrest/catalog/1/acl/update", rows=["sandbox-writer"])
    sandbox.stop(signal.SIGKILL)

    again = start()

    writer = Client(again.ready["host"], sandbox.writer.token)
    assert row[0]["RID"] == writer.select("demo:Subject/Name=kept")[0]["RID"]
    leased = {"RID": lease, "Name": "leased"}
    assert writer.insert("demo:Subject", leased, query="?nondefaults=RID").status == 200
    assert writer.get(url).body == b"content"
    writer.ask("PUT", f"{job}/1", body=b"kept")
    assert writer.ask("POST", job).status == 201
    assert writer.get("/hatrac/Image/job").body == b"keptkept"
    assert again.owner.get("/ermrest/catalog/1/acl/update").json == ["sandbox-writer"]
    assert lease < writer.insert("demo:Subject", {"Name": "new"}).json[0]["RID"]


def test_a_restart_keeps_the_catalog_it_has(start):
    sandbox = start("--catalog", "7")
    sandbox.stop()

    again = start("--schema", str(CONFORMANCE / "schema.json"), "--catalog", "8")

    assert again.ready["catalog"] == "7"
    assert len(again.writer.get("/ermrest/catalog/7/entity/demo:Subject").json) == 3


def test_every_request_is_logged_before_its_answer_ends(start):
    sandbox = start()
    sandbox.writer.store("Image/logged")
    sandbox.anonymous.get("/hatrac/Image?limit=1")

    first, second = sandbox.log

    keys = {"n", "method", "path", "status", "identity", "fault", "received_bytes", "ms", "entries"}
    assert keys == set(first)
    assert (first["n"], first["method"], first["path"]) == (1, "PUT", "/hatrac/Image/logged")
    assert (
        first["status"],
        first["identity"],
        first["received_bytes"],
    ) == (201, "sandbox-writer", 7)
    assert (
        second["path"],
        second["status"],
        second["identity"],
    ) == ("/hatrac/Image?limit=1", 401, None)


def test_a_connection_ends_with_its_hundredth_request(lab):
    connection = http.client.HTTPConnection(lab.ready["host"])

    answers = [ask_on(connection, "GET", SESSION) for _ in range(100)]

    assert [answer.headers["Connection"] for answer in answers] == [None] * 99 + ["close"]
    connection.close()


def test_an_idle_connection_ends_after_five_seconds(lab):
    connection = http.client.HTTPConnection(lab.ready["host"], timeout=20)
    began = time.monotonic()
    ask_on(connection, "GET", SESSION)

    assert connection.sock.recv(1) == b""  # within 20 s

    assert time.monotonic() - began > 4.9
    connection.close()


def test_latency_delays_every_answer(start):
    sandbox = start("--latency-ms", "300")

    began = time.monotonic()
    sandbox.writer.get(SESSION)

    assert time.monotonic() - began > 0.3
