"""`status`, `show` and `history` on the command line, of a journal that no daemon has."""

import json
import os
import signal
import tempfile

import pytest

from deriva_watch.edges.disk.receipts import write_receipt
from running import command, wait_until
from starting import Program


@pytest.fixture
def config(lab, tmp_path):
    """Settings for a journal with an execution that is in and one that is refused."""
    lab.uploaded("1-AA", a=1000)
    lab.refused("1-AB")
    lab.journal.close()
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nhost = "data.example.org"\n[journal]\nurl = "{lab.url}"\n'
        f'[[watch]]\nprefix = "{tmp_path}-data"\n'
    )
    return file


def test_status_begins_with_the_verdict(config):
    told = command(config, "status")

    assert told.returncode == 0
    assert told.stdout.startswith(
        "✗  no daemon is running; 1 file of 1 execution is in the catalog on data.example.org\n"
        "   deriva-watch run\n"
    )
    assert not [line for line in told.stdout.splitlines() if line != line.rstrip()]


def test_a_story_is_told_of_an_execution_or_of_one_file(config):
    whole, of_file = command(config, "show", "1-AB"), command(config, "show", "1-AB", "a")
    said = json.loads(command(config, "show", "1-AB", "a", "--json").stdout)

    assert "cannot store a.tif" in whole.stdout
    assert [file["path"] for file in said["executions"][0]["files"]] == ["a"]
    assert "\na\n  2026-03-01 12:00:00  first seen: 7 bytes\n" in of_file.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "1-AC"], "Did you mean 1-AB or 1-AA?"),
        (["show", "nothing like it"], "`deriva-watch status` lists those that it has."),
        (["show", "1-AB", "b"], "`deriva-watch show 1-AB --files` lists all."),
        (["show", "1-AB", "--receipt"], "`deriva-watch show 1-AB` shows how far it is."),
        (["history", "--since", "soon"], 'Write "90m"'),
    ],
)
def test_what_is_not_there_says_what_to_ask_instead(config, words, said):
    told = command(config, *words)

    assert told.returncode == 2
    assert said in told.stderr


def test_no_name_commands_the_terminal_that_shows_an_error(config):
    told = command(config, "show", "1-A\x1b[2Jrefused")

    assert told.returncode == 2
    assert "1-A\\x1b[2Jrefused" in told.stderr
    assert "\x1b" not in told.stderr


def test_a_receipt_is_printed_as_it_is_kept(config, tmp_path):
    receipt = {"receipt": 1, "execution": "1-AA", "files": ["gr\udcfcn"]}
    write_receipt(tmp_path, "data.example.org/1", "1-AA", receipt)

    told = command(config, "show", "1-AA", "--receipt")

    assert json.loads(told.stdout) == {**receipt, "files": ["gr\\udcfcn"]}


def test_history_is_a_document_too(config):
    found = json.loads(command(config, "history", "--since", "2026-03-01", "--json").stdout)

    assert [each["rid"] for each in found["endings"]] == ["1-AA", "1-AB"]
    assert found["days"][0]["files"] == 1


def test_watching_as_json_is_one_document_a_line_until_ctrl_c(config):
    with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as errors:
        words = ["status", "--watch", "--json", "--config", config]
        process = Program("deriva_watch", words, os.environ, out.name, errors.name)
        try:
            wait_until(lambda: out.read().endswith("}\n"))
            process.send_signal(signal.SIGINT)
            ended = process.wait(10)
        finally:
            process.kill()
        out.seek(0)
        views = [json.loads(line) for line in out]

        assert ended == 130
        assert views[0]["verdict"]["level"] == "trouble"
        assert errors.read() == ""
