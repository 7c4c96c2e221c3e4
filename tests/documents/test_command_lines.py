"""Every command line that our documents give is run, as a new user would, on a new machine."""

from contextlib import ExitStack

import pytest
from typer.main import get_command

from deriva_watch.cli import app
from documents.machine import machine
from documents.newcomer import ELSEWHERE, Newcomer
from documents.reading import (
    PROGRAM,
    ROOT,
    Block,
    Command,
    blocks,
    commands,
    documents,
    of_comments,
    variants,
)
from running import sandbox

TEXT = documents()


def test_every_command_line_of_the_documents_works(tmp_path):
    """From nothing to a daemon that uploads, then all that one does with it every day."""
    given = commands(TEXT)
    for file in ("config.example.toml", *sorted(map(str, ROOT.glob("systemd/*.service")))):
        given += of_comments((ROOT / file).read_text())
    given += of_help()
    (home := tmp_path / "home").mkdir()
    with ExitStack() as stack:
        ready = stack.enter_context(sandbox(tmp_path / "server"))
        user = Newcomer(stack.enter_context(machine(home, tmp_path)), ready, TEXT, stack)
        user.prepare()

        for command in given:
            user.types(command)
            if user.failed and not user.log:  # nothing works before it is installed
                pytest.fail("\n\n".join(user.failed), pytrace=False)
        user.runs_python(next(text for text in user.examples if text.startswith("from ")))

    assert len(user.typed) > 20
    if user.failed:
        pytest.fail("\n\n".join(user.failed), pytrace=False)


def of_help():
    """Return the examples in the help of our commands."""
    helps = (command.help for command in get_command(app).commands.values())
    return [Command(text.rpartition("For example: ")[2].strip()) for text in helps]


@pytest.mark.parametrize("line", sorted(ELSEWHERE))
def test_what_is_run_elsewhere_is_run_there(line):
    file, text = ELSEWHERE[line]

    assert text in (ROOT / file).read_text()


# ---------------------------------------------------------------------- the reading of documents


def test_blocks_are_found_with_their_language_whether_it_is_named_or_not():
    listed = "\n- B:\n\n      $ try it\n      done\n\n```{note}\n:x: y\n```\n"
    text = f"\nA:\n\n    make it\n{listed}\n```toml\n[x]\n```\n\n    [y]\n"

    found = [Block("sh", "make it\n"), Block("console", "$ try it\ndone\n")]
    found += [Block("{note", ":x: y\n")]
    assert blocks(text) == [*found, Block("toml", "[x]\n"), Block("toml", "[y]\n")]


def test_commands_are_found_in_blocks_in_prose_and_in_tables():
    text = (
        "Try `deriva-watch plan PATH`, or `/opt/bin/deriva-watch check`; `status` is no line.\n\n"
        "    mkdir x   # a folder\n    deriva-watch a \\\n      b\n\n"
        "```console\n$ deriva-watch show X\none\ntwo\n```\n\n"
        "| command | what |\n|---|---|\n| `deriva-watch status [--watch]` | x |\n"
        "| `deriva-watch retry RID` | y |\n"
    )

    lines = {command.line: command.shown for command in commands(text)}

    assert lines.pop("deriva-watch show X") == ("one", "two")
    plain = ["mkdir x", "deriva-watch a b", "deriva-watch plan PATH"]
    table = ["status", "status --watch", "retry RID"]
    assert [*lines] == [*plain, "/opt/bin/deriva-watch check", *(f"{PROGRAM} {t}" for t in table)]


def test_optional_words_make_two_commands():
    assert variants("a [b] [c]") == ["a", "a c", "a b", "a b c"]


def test_command_lines_of_comments_are_those_that_stand_in_further():
    text = (
        "# Then run\n#\n#     deriva-watch plan /data\n#\n# or systemctl stop x.\n#     its rest\n"
    )

    assert of_comments(text) == [Command("deriva-watch plan /data")]
