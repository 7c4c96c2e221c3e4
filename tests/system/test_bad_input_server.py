"""What the daemon needs is not there, or not right: it says so once, waits, and goes on by itself.

In the log stands one event, in `status` the same sentence for as long as it holds.
"""

import json
import shutil
import socket
from pathlib import Path

import pytest

from running import (
    Api,
    command,
    daemon,
    directory,
    problem,
    requests_seen,
    sandbox,
    summed_up,
    wait_until,
    write_config,
    write_files,
)

ASSET = "asset/deriva-ml/Execution_Asset/good.txt"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


def drop(prefix, api):
    """Drop a small execution and return its RID."""
    rid = api.execution()
    write_files(directory(prefix, rid), {ASSET: f"of {rid}"})
    return rid


def named(daemon, *names):
    return [event["event"] for event in daemon.events() if event["event"] in names]


def is_in(api, rid):
    """Tell whether the file of an execution is linked on the server, by what the server says."""
    return rid in {row["Execution"] for row in api.rows("deriva-ml:Execution_Asset_Execution")}


# ---------------------------------------------------------------------- the folder


def test_a_prefix_that_is_missing_is_waited_for(tmp_path, server, api):
    prefix = tmp_path / "not/mounted/yet"
    config = write_config(tmp_path / "settings", server, prefix)

    with daemon(config) as running:
        told = running.wait_for(lambda event: event["event"] == "root.missing")
        waits = problem(config, str(prefix))
        rid = drop(prefix, api)
        running.wait_for_state(rid, "uploaded")

        assert told["why"] == f"there is no {prefix}/deriva-ml/execution"
        assert f"mkdir -p {prefix}" in told["next"]
        assert waits["what"] == f"cannot watch {prefix}"
        assert waits["why"] == told["why"]
        assert named(running, "root.missing", "root.watched") == ["root.missing", "root.watched"]
        assert summed_up(config)["problems"] == []
    assert is_in(api, rid)


def test_a_prefix_that_is_a_file_is_told_as_one_that_is_missing(tmp_path, server):
    prefix = tmp_path / "file"
    prefix.touch()
    config = write_config(tmp_path / "settings", server, prefix)

    with daemon(config):
        assert f"there is no {prefix}/deriva-ml/execution" in problem(config, str(prefix))["why"]


# ---------------------------------------------------------------------- the server


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_server_that_is_down_at_the_start_is_waited_for(tmp_path):
    """Nothing was dropped yet and still it is said; what is dropped meanwhile goes in later."""
    listen = f"127.0.0.1:{free_port()}"
    with sandbox(tmp_path / "server", listen=listen) as ready:
        api = Api(ready)
        rid = api.execution()
    prefix, config = (
        tmp_path / "data",
        write_config(tmp_path / "settings", ready, tmp_path / "data"),
    )

    with daemon(config) as running:
        told = running.wait_for(lambda event: event["event"] == "server.unavailable")
        waits = problem(config, "the server")
        write_files(directory(prefix, rid), {ASSET: "good"})
        running.wait_for_state(rid, "filling")
        with sandbox(tmp_path / "server", listen=listen):
            running.wait_for_state(rid, "uploaded")
            assert is_in(api, rid)
        assert named(running, "server.unavailable", "server.recovered") == [
            "server.unavailable",
            "server.recovered",
        ]

    assert told["why"] == f"{listen} does not answer: Connection refused"
    assert (waits["why"], waits["next"]) == (
        told["why"],
        "Nothing to do: it is retried automatically.",
    )


def test_an_upload_to_a_server_that_is_down_says_so_at_once(tmp_path, server):
    away = {**server, "host": f"127.0.0.1:{free_port()}"}
    credential = tmp_path / "credential.json"
    (entry,) = json.loads(Path(server["owner_credential_file"]).read_text()).values()
    credential.write_text(json.dumps({away["host"]: entry}))
    config = write_config(
        tmp_path / "settings", away, tmp_path, server={"credential_file": credential}
    )
    write_files(directory(tmp_path, "1-AAAA"), {ASSET: "good"})

    told = command(config, "upload", tmp_path, "--json")

    assert told.returncode == 10
    assert json.loads(told.stdout)["error"] == {
        "what": f"cannot log in to {away['host']}",
        "why": f"{away['host']} does not answer: Connection refused",
        "next": "Nothing to do: it is retried automatically.",
    }


def test_a_catalog_that_does_not_exist_is_said_once_and_refuses_no_execution(tmp_path, server, api):
    rid = api.execution()
    config = write_config(tmp_path / "settings", server, tmp_path, server={"catalog": "99"})
    write_files(directory(tmp_path, rid), {ASSET: "good"})

    at_once = command(config, "upload", tmp_path, "--json")
    with daemon(config) as running:
        told = running.wait_for(lambda event: event["event"] == "catalog.unavailable")
        waits = problem(config, "the server")
        assert running.stop() == 143
        assert named(running, "catalog.unavailable", "daemon.crashed") == ["catalog.unavailable"]
    error = json.loads(at_once.stdout)["error"]
    assert at_once.returncode == 2
    assert "catalog 99" in error["what"]
    assert "server.catalog" in error["next"]
    assert "retry" not in error["next"]
    for each in (told, waits):
        assert [each[part] for part in error] == list(error.values())
    assert summed_up(config)["executions"]["refused"] == 0

    corrected = write_config(tmp_path / "settings", server, tmp_path)
    with daemon(corrected) as running:
        running.wait_for_state(rid, "uploaded")
    assert is_in(api, rid)


def test_a_catalog_whose_executions_may_not_be_read_is_said_once(tmp_path):
    """It is asked again and again, and never taken for open in between."""
    faults = tmp_path / "faults.json"
    rule = {"action": "status", "status": 403, "route": "/entity/deriva-ml:Execution/RID="}
    faults.write_text(json.dumps({"faults": [rule]}))
    with sandbox(tmp_path / "server", faults=faults) as ready:
        rid = drop(tmp_path, Api(ready))
        config = write_config(tmp_path / "settings", ready, tmp_path)
        with daemon(config) as running:
            running.wait_for_state(rid, "filling")
            waits = problem(config, "the server")
            asked = len(executions_asked(ready))
            wait_until(lambda: len(executions_asked(ready)) > asked + 1, what="it was not asked")
            names = named(running, "catalog.unavailable", "server.recovered", "notice.added")

    assert "(403" in waits["why"]
    assert "administrator" in waits["next"]
    assert names == ["catalog.unavailable"]


def executions_asked(ready):
    return [seen for seen in requests_seen(ready) if ":Execution/RID=" in seen["path"]]


# ---------------------------------------------------------------------- the credential


def test_a_missing_and_a_wrong_credential_are_each_said_once_until_it_is_right(
    tmp_path, server, api
):
    """Without a restart: the daemon reads the file when it changes."""
    credential = tmp_path / "credential.json"
    config = write_config(
        tmp_path / "settings", server, tmp_path, server={"credential_file": credential}
    )
    rid = drop(tmp_path, api)
    wrong = "wrong-" * 5

    with daemon(config) as running:
        missing = running.wait_for(lambda event: event["event"] == "credential.needed")
        waits = problem(config, "the server")
        credential.write_text("{ broken")
        broken = running.wait_for(lambda event: "is not JSON" in event.get("why", ""))
        credential.write_text(json.dumps({server["host"]: {"bearer-token": wrong}}))
        unknown = running.wait_for(lambda event: "has no session" in event.get("why", ""))
        assert not is_in(api, rid)
        shutil.copyfile(server["owner_credential_file"], credential)
        running.wait_for_state(rid, "uploaded")
        names = named(
            running, "credential.needed", "server.unavailable", "server.recovered", "daemon.crashed"
        )
        log = running.log.read_text()

    assert missing["why"] == waits["why"] == f"there is no {credential}"
    assert waits["next"].endswith(f"into {credential}.")
    assert broken["why"] == f"{credential} is not JSON"
    assert unknown["why"] == f"{server['host']} has no session for our credential"
    assert names == [*["credential.needed"] * 3, "server.recovered"]
    assert wrong not in log
    assert is_in(api, rid)


def test_a_credential_that_is_renewed_while_the_server_is_away_is_used_when_it_is_back(tmp_path):
    """The daemon does not wait for another change of the file."""
    listen, credential = f"127.0.0.1:{free_port()}", tmp_path / "credential.json"
    with sandbox(tmp_path / "server", listen=listen) as ready:
        api = Api(ready)
        rid = drop(tmp_path, api)
        config = write_config(
            tmp_path / "settings", ready, tmp_path, server={"credential_file": credential}
        )
    with daemon(config) as running:
        running.wait_for(lambda event: event["event"] == "credential.needed")
        shutil.copyfile(ready["owner_credential_file"], credential)
        running.wait_for(lambda event: event["event"] == "server.unavailable")
        with sandbox(tmp_path / "server", listen=listen):
            running.wait_for_state(rid, "uploaded")
            assert is_in(api, rid)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "{file} is not a JSON object with an entry for each host"),
        ('{"HOST": {"bearer-token": "not-the-right-one"}}', "HOST has no session for our"),
    ],
)
def test_an_upload_without_a_good_credential_is_an_error_of_the_settings(
    tmp_path, server, content, why
):
    credential = tmp_path / "credential.json"
    credential.write_text(content.replace("HOST", server["host"]))
    config = write_config(
        tmp_path / "settings", server, tmp_path, server={"credential_file": credential}
    )
    write_files(directory(tmp_path, "1-AAAA"), {ASSET: "good"})

    told = command(config, "upload", tmp_path, "--json")

    assert told.returncode == 2
    error = json.loads(told.stdout)["error"]
    assert error["what"] == f"cannot log in to {server['host']}"
    assert why.format(file=credential).replace("HOST", server["host"]) in error["why"]
    assert str(credential) in error["next"] or "login" in error["next"]
    assert "not-the-right-one" not in told.stdout + told.stderr
