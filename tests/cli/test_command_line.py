"""The command line as people and programs meet it: help, JSON, errors, exit status."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from deriva_watch.cli import app, main
from running import (
    Api,
    Gate,
    daemon,
    program,
    requests_seen,
    sandbox,
    wait_until,
    write_config,
    write_files,
)

COMMANDS = typer.main.get_command(app).commands
ASSETS = "asset/deriva-ml/Execution_Asset"
PARTS = {"what", "why", "next"}


def run(*arguments, **environment):
    """Run `deriva-watch` to its end, in an environment without settings of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DERIVA_WATCH_")}
    return program([*map(str, arguments)], clean | environment)


@pytest.fixture
def tell(capfd, monkeypatch):
    """Run `deriva-watch` here, which is faster: for what asks no server."""

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["deriva-watch", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=int(ended.value.code), stdout=out, stderr=err)

    for name in [name for name in os.environ if name.startswith("DERIVA_WATCH_")]:
        monkeypatch.delenv(name)
    return run_here


def error_of(told):
    """Return the error that a command told programs; people were told the same."""
    document = json.loads(told.stdout)
    assert document.keys() == {"error"}
    assert document["error"].keys() == PARTS
    assert all(document["error"].values())
    assert "Traceback" not in told.stderr
    return document["error"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("server")) as ready:
        yield ready


@pytest.fixture
def api(server):
    return Api(server)


@pytest.fixture
def config(tmp_path, server):
    return write_config(tmp_path / "settings", server, tmp_path / "data")


def drop(tmp_path, rid, files):
    return write_files(tmp_path / "data/deriva-ml/execution" / rid, files)


# ---------------------------------------------------------------------- help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_says_what_it_does_and_what_each_option_is_for(name):
    command = COMMANDS[name]
    hidden = {"help", "install_completion", "show_completion"}

    first, *_, last = command.help.split("\n\n")
    assert first.endswith(".")
    assert "xit status" in " ".join(command.help.split())
    assert last.startswith(f"For example: deriva-watch {name}")
    for parameter in command.params:
        assert parameter.name in hidden or parameter.help, parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name):
    assert "--json" in {option for each in COMMANDS[name].params for option in each.opts}


def test_the_help_names_every_command_and_every_exit_status():
    told = run("--help", COLUMNS="200")

    assert told.returncode == 0
    for words in (*COMMANDS, "0 done", "3 something was refused", "11 another instance", "143"):
        assert words in told.stdout
    for name in COMMANDS:
        assert f"\n  {name} " in told.stdout


def test_the_version_is_that_of_the_package():
    told = run("--version")

    assert told.returncode == 0
    assert told.stdout == f"deriva-watch {version('deriva-watch')}\n"


# ---------------------------------------------------------------------- JSON


def test_what_a_command_prints_for_programs_is_one_document(tmp_path, config, api, tell):
    rid = api.execution()
    root = drop(tmp_path, rid, {f"{ASSETS}/good.txt": "good"})

    plan = run("plan", root, "--json", "--config", config)
    upload = run("upload", root, "--json", "--config", config)
    status = tell("status", "--json", "--config", config)
    show = tell("show", rid, "--json", "--config", config)
    retry = tell("retry", rid, "--json", "--config", config)
    events = tell("events", "--json")

    told = (plan, upload, status, show, retry, events)
    assert [each.returncode for each in told] == [0] * 6
    assert [each.stderr for each in told] == [""] * 6
    documents = [json.loads(each.stdout) for each in told]
    assert documents[0][rid]["assets"][0]["table"] == "deriva-ml:Execution_Asset"
    assert documents[1]["executions"][0]["state"] == "uploaded"
    assert documents[1]["files"] == {"linked": 1}
    assert documents[2]["executions"]["uploaded"] == 1
    assert documents[2].keys() >= {"files", "oldest_pending_s", "server", "healthy", "problems"}
    assert documents[3]["executions"][0]["files"][0]["state"] == "linked"
    assert documents[4] == {
        "ordered": rid,
        "this_catalog": False,
        "executions": [rid],
        "paths": [],
        "daemon": None,
    }
    assert {"event", "about", "fields"} <= documents[5][0].keys()


def test_plan_tells_how_many_rows_go_where_and_the_first_that_cannot(tmp_path, config, api):
    rid = api.execution()
    visits = "Subject,Observation_Date\n1-S001,2026-02-02\n1-S001,soon\n1-S001,2026-02-03\n"
    folder = "table/demo/Observation"
    root = drop(tmp_path, rid, {f"{folder}/Observation.csv": visits})

    told = run("plan", root, "--json", "--config", config)
    text = run("plan", root, "--config", config)

    assert told.returncode == text.returncode == 0
    assert json.loads(told.stdout)[rid]["rows"] == [
        {
            "path": f"{folder}/Observation.csv",
            "table": "demo:Observation",
            "rows": 2,
            "bad": 1,
            "problem": "line 3: 'soon' is not a valid date for column Observation_Date",
        }
    ]
    assert "2 rows of demo:Observation" in text.stdout
    assert "line 3" in text.stdout


def test_plan_tells_whether_a_directory_is_complete_and_what_is_missing(tmp_path, server, api):
    """Times are those of the files: nobody has looked before."""
    completion = {"quiet_s": 1000, "quiet_max_s": 2000}
    config = write_config(tmp_path / "settings", server, tmp_path / "data", completion=completion)
    rid = api.execution("Created")
    root = drop(tmp_path, rid, {f"{ASSETS}/a.txt": "a", f"{ASSETS}/b.txt.part": "b"})
    script = f'exec 3>>"{root}/{ASSETS}/a.txt"; echo ready; read _'
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"ready\n"
        text = run("plan", root, "--config", config).stdout
        writer.communicate(b"\n")
    (root / f"{ASSETS}/b.txt.part").unlink()
    (root / ".complete").touch()
    os.utime(root / ".complete", (2e9, 2e9))  # the clock of a file server runs ahead

    told = json.loads(run("plan", root, "--json", "--config", config).stdout)[rid]["verdict"]

    assert f"not complete:\n  {ASSETS}/a.txt is open for writing\n  unchanged for " in text
    assert " s (1000 s required)\n" in text
    assert f"  {ASSETS}/b.txt.part has the name of a partial file: unchanged for " in text
    assert "an estimate from file times; the daemon measures it directly" in text
    assert not told["is_complete"]
    assert told["missing"][0] == "unchanged for 0 s (0.2 s required)"
    assert told["missing"][1].startswith("the time of a file is in the future")
    assert told["evidence"]["marker"] == ".complete"


def test_the_text_of_the_same_commands_says_it_to_people(tmp_path, config, api, tell):
    """No name of a file reaches the terminal as a command, or breaks a line."""
    rid = api.execution()
    red = "\x1b[31mred\nline.txt"
    root = drop(tmp_path, rid, {f"asset/demo/Image/{red}": "red", f"{ASSETS}/{red}": "red"})

    plan = run("plan", root, "--config", config)
    upload = run("upload", root, "--config", config)
    status = tell("status", "--config", config)
    show = tell("show", rid, "--config", config)
    retry = tell("retry", rid, "--config", config)

    assert "a row of deriva-ml:Execution_Asset" in plan.stdout
    assert f"{rid}  refused\n  1 of 2 files of execution {rid} are refused\n" in upload.stdout
    assert "executions  1 refused" in status.stdout
    assert "no daemon is running" in status.stdout
    assert "linked" in show.stdout
    assert "`deriva-watch run` or `upload`" in retry.stdout
    for each in (plan, upload, status, show):
        assert r"\x1b[31mred\nline.txt" in each.stdout
        assert "\x1b" not in each.stdout + each.stderr


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "why", "then"),
    [
        (["status", "--nope"], "No such option: --nope", "`deriva-watch status --help`"),
        (["show"], "Missing argument 'RID'", "`deriva-watch show --help`"),
        (["upload", "--config"], "requires an argument", " --help`"),
        (["nope"], "No such command 'nope'", "`deriva-watch --help`"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_like_every_error(tell, arguments, why, then):
    told = tell(arguments[0], "--json", *arguments[1:])

    error = error_of(told)
    assert told.returncode == 2
    assert why in error["why"]
    assert then in error["next"]
    assert why in told.stderr


def test_without_any_settings_it_says_where_they_are_sought(tmp_path, tell, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    told = tell("status", "--json")

    error = error_of(told)
    assert told.returncode == 2
    assert error["what"] == "no configuration found"
    assert "/etc/deriva-watch/config.toml" in error["why"]
    assert "`deriva-watch init`" in error["next"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("run", ("host =", "hots ="), "nothing reads it; did you mean 'host'?"),
        ("upload", ("[completion]", "[competion]"), "did you mean 'completion'?"),
        ("plan", ('"http"', '"htpp"'), "'server.protocol' must be"),
        ("status", ("quiet_s = 0.5", 'quiet_s = "soon"'), "'completion.quiet_s' must be a number"),
        ("show", ("prefix =", "prefx ="), "did you mean 'prefix'?"),
        ("retry", ("[server]", "[server"), "is not TOML"),
    ],
)
def test_a_typo_in_the_settings_is_told_with_its_line(config, tell, name, change, said):
    text, arguments = config.read_text(), {"run": [], "status": []}.get(name, ["1-AAAA"])
    line = text[: text.index(change[0])].count("\n") + 1
    config.write_text(text.replace(*change, 1))

    told = tell(name, *arguments, "--json", "--config", config)

    error = error_of(told)
    assert told.returncode == 2
    assert f"{config}:{line}" in error["what"]
    assert said in error["what"]


def test_the_daemon_does_not_start_where_there_is_nothing_to_watch(config, tell):
    text = config.read_text()
    config.write_text(text[text.index("[server]") :])

    told = tell("run", "--json", "--config", config)

    assert told.returncode == 2
    assert error_of(told)["what"] == "there is nothing to watch"
    assert "[[watch]]" in error_of(told)["next"]
    assert "[[drop]]" in error_of(told)["why"]


def test_an_execution_that_nobody_knows_is_an_error(tmp_path, config, api, tell):
    root = drop(tmp_path, api.execution(), {f"{ASSETS}/good.txt": "good"})
    run("upload", root, "--config", config)

    for name in ("show", "retry"):
        told = tell(name, "9-ZZZZ", "--json", "--config", config)

        error = error_of(told)
        assert told.returncode == 2
        assert "9-ZZZZ" in error["what"]
        assert error["why"].endswith("journal.db has no such execution")
        assert "`deriva-watch status`" in error["next"]
    nothing = tell("retry", "--all", "--config", config)
    assert (nothing.returncode, nothing.stdout) == (0, "no execution is refused or waiting\n")


@pytest.mark.parametrize("line", [["status"], ["show", "1-AAAA"], ["retry", "--all"]])
def test_before_any_work_there_is_no_journal_to_ask(config, tell, line):
    told = tell(*line, "--json", "--config", config)

    assert told.returncode == 2
    assert error_of(told)["what"].startswith("there is no journal ")
    assert "`deriva-watch run`" in error_of(told)["next"]


def test_retry_wants_one_execution_or_all(config, tell):
    for line in ([], ["1-AAAA", "--all"]):
        told = tell("retry", *line, "--json", "--config", config)

        assert told.returncode == 2
        assert error_of(told)["why"] == "give either one RID or --all"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "there is no such directory"),
        ("elsewhere", "it is not a directory deriva-ml/execution/<RID>"),
    ],
)
def test_a_path_that_is_no_execution_directory_is_an_error(tmp_path, config, tell, name, why):
    (tmp_path / "data/elsewhere").mkdir(parents=True)
    path = tmp_path / "data" / name

    for command in ("upload", "plan"):
        told = tell(command, path, "--json", "--config", config)

        assert told.returncode == 2
        assert error_of(told)["what"] == f"there is nothing to upload in {path}"
        assert why in error_of(told)["why"]


# ---------------------------------------------------------------------- exit status


@pytest.mark.parametrize(
    ("files", "status", "state"),
    [
        ({f"{ASSETS}/good.txt": "good", "stray.txt": "stray"}, 0, "uploaded"),
        ({f"{ASSETS}/good.txt": "good", "asset/demo/Image/bad.png": "bad"}, 3, "refused"),
        ({"stray.txt": "stray"}, 4, "refused"),
        ({".DS_Store": "ignored"}, 4, "refused"),
    ],
)
def test_the_exit_status_of_an_upload_says_how_far_it_came(server, tmp_path, files, status, state):
    config = write_config(tmp_path / "settings", server, tmp_path / "data")
    root = drop(tmp_path, Api(server).execution(), files)

    told = run("upload", root, "--json", "--config", config)

    assert told.returncode == status
    assert json.loads(told.stdout)["executions"][0]["state"] == state


def test_an_empty_directory_is_not_called_uploaded(tmp_path, config, api):
    rid = api.execution()
    root = drop(tmp_path, rid, {})
    root.mkdir(parents=True)

    told = run("upload", root, "--json", "--config", config)

    (execution,) = json.loads(told.stdout)["executions"]
    assert told.returncode == 4
    assert execution["what"] == f"nothing of execution {rid} is uploaded"
    assert execution["why"] == f"there are no files in {root}"
    assert api.status(rid) == "Stopped"


def test_one_journal_has_one_daemon(tmp_path, config):
    root = drop(tmp_path, "1-AAAA", {f"{ASSETS}/good.txt": "good"})

    with daemon(config) as running:
        for line in (["run"], ["upload", root]):
            told = run(*line, "--json", "--config", config)

            assert told.returncode == 11
            assert error_of(told)["why"] == f"process {running.pid} holds it"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_the_exit_status_of_the_daemon(config, number, status):
    line = [sys.executable, "-m", "deriva_watch", "run", "--json", "--config", config]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.readline()
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == status
    assert json.loads(said) == {"ended_by": number.name, "exit_status": status}


def test_an_upload_that_is_interrupted_says_so_and_goes_on_the_next_time(tmp_path):
    gate = Gate(tmp_path, r"\.txt", first=10)
    gate.close()
    with sandbox(tmp_path / "server", latency_ms=300, faults=gate.faults) as ready:
        api = Api(ready)
        rid = api.execution()
        root = drop(tmp_path, rid, {f"{ASSETS}/{number}.txt": str(number) for number in range(20)})
        config = write_config(tmp_path / "settings", ready, tmp_path / "data")
        line = [sys.executable, "-m", "deriva_watch", "upload", root, "--config", config]
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: any(seen["method"] == "PUT" for seen in requests_seen(ready)))
            process.send_signal(signal.SIGINT)
            gate.open()
            _, said = process.communicate(timeout=60)
        again = run("upload", root, "--json", "--config", config)

        assert process.returncode == 130
        assert "Traceback" not in said
        assert again.returncode == 0
        assert json.loads(again.stdout)["files"] == {"linked": 20}
        assert len(api.rows("deriva-ml:Execution_Asset")) == 20


# ---------------------------------------------------------------------- secrets


@pytest.mark.skipif("SOAK" not in os.environ, reason="tests/system/test_secrets.py has more")
def test_no_secret_is_ever_shown_or_kept(tmp_path, server, api):
    """Bearer tokens, right and wrong, are in no log, file, output or argument of a process."""
    secret = json.loads(Path(server["owner_credential_file"]).read_text())[server["host"]]
    secrets = [secret["bearer-token"], "a-wrong-token-that-nobody-may-see"]
    credential = tmp_path / "secret/credential.json"
    rid, prefix = api.execution(), tmp_path / "data"
    drop(
        tmp_path,
        rid,
        {
            f"{ASSETS}/good.txt": "good",
            "asset/demo/Image/__NULL__/__NULL__/__NULL__/9-9999/bad.png": "bad",
            "asset-manifest.json": "broken",
        },
    )
    config = write_config(
        tmp_path / "settings",
        server,
        prefix,
        server={"credential_file": credential},
        log={"level": "debug"},
    )
    credential.parent.mkdir()
    told = []

    for token in secrets:
        credential.write_text(json.dumps({server["host"]: {"bearer-token": token}}))
        told += [run("upload", prefix, "--config", config)]
        told += [run("plan", prefix, "--json", "--config", config)]
    told += [run("show", rid, "--json", "--config", config)]
    with daemon(config, through=["env"]) as running:  # by its own command line
        running.wait_for(lambda event: event["event"] == "credential.needed")
        credential.write_text(json.dumps({server["host"]: {"bearer-token": secrets[0]}}))
        drop(tmp_path, rid, {f"{ASSETS}/late.txt": "late"})
        running.wait_for_state(rid, "refused")
        arguments = Path(f"/proc/{running.pid}/cmdline").read_bytes()
        told += [run("status", "--json", "--config", config)]

    places = {f"{each.args}": (each.stdout + each.stderr).encode() for each in told}
    places["the arguments of the daemon"] = arguments
    for folder in (prefix, config.parent):
        places |= {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert len(places) > 15
    assert any(place.endswith("journal.db") for place in places)
    assert any("receipts" in place for place in places)
    leaks = [
        (place, secret[:3])
        for secret in secrets
        for place, content in places.items()
        if secret.encode() in content
    ]
    assert leaks == []
