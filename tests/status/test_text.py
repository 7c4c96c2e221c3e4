import io

import pytest
from rich.console import Console

from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.status import render_details, render_summary, show
from deriva_watch.status.verdict import readable

SENTENCE = {"what": "cannot store it", "why": "403", "next": "Ask."}
LONG = "asset/" + "x" * 249


def a_summary(**fields):
    return {
        "server": "example.org/1",
        "healthy": True,
        "problems": [],
        "journal": "/var/lib/deriva-watch/journal.db",
        "daemon": 17,
        "executions": dict.fromkeys(ExecutionState, 0),
        "files": dict.fromkeys(FileState, 0),
        "oldest_pending_s": 0.0,
        "refused": [],
        "waiting": [],
        "notices": [],
        **fields,
    }


def some_details(*paths):
    file = {"state": "refused", "size_bytes": 3, "md5": "0" * 32, "table": None, "rid": None}
    line = {"at": "2026-03-01T12:00:00+00:00", "trigger": None, "before": None}
    execution = {
        "rid": "1-AA",
        "prefix": "/data",
        "server": "example.org/1",
        "state": "refused",
        "changed_at": "2026-03-01T12:00:00+00:00",
        "next_at": None,
        **SENTENCE,
        "verdict": {"rules": ["quiet"], "quiet_s": 30},
        "files": [{**file, "url": None, "path": path, **SENTENCE} for path in paths],
        "notices": {"a.tif": "2 rows say the same of it"},
        "history": [
            {**line, "path": None, "after": "filling", "detail": {"attempts": 2}},
            {**line, "path": "a.tif", "after": "found", "detail": {}},
        ],
    }
    return {"rid": "1-AA", "executions": [execution]}


def piped(view):
    file = io.StringIO()
    show(view, file)
    return file.getvalue()


def test_a_summary_says_how_things_stand():
    text = piped(render_summary(a_summary(executions={"uploaded": 2, "gone": 0})))

    for words in ("healthy", "example.org/1", "process 17", "uploaded  2"):
        assert words in text
    assert "gone" not in text


def test_a_summary_names_what_is_refused_and_what_waits():
    refused = {"rid": "1-AA", "prefix": "/data", "changed_at": "…", **SENTENCE}
    waiting = {"rid": "1-AB", "prefix": "/data", "next_at": "12:00", "attempts": 1, **SENTENCE}
    text = piped(
        render_summary(a_summary(healthy=False, daemon=None, refused=[refused], waiting=[waiting]))
    )

    for words in ("not healthy", "not running", "refused 1-AA in /data\n    cannot store it\n"):
        assert words in text
    assert "waiting 1-AB in /data, again at 12:00\n" in text


def test_details_show_the_verdict_the_files_and_the_history_of_the_execution():
    text = piped(render_details(some_details("a.tif")))

    for words in ("rules  quiet", "quiet  30 s", "0" * 32, "refused a.tif\n    cannot store"):
        assert words in text
    assert "a.tif: 2 rows say the same of it" in text
    assert text.count("filling") == 1
    assert "found" not in text


def test_details_show_the_execution_that_was_made_for_a_unit_of_a_drop_folder():
    details = some_details("a.tif")
    assert "execution  " not in piped(render_details(details))

    details["executions"][0]["execution_rid"] = "1-EX"

    assert "execution  1-EX" in piped(render_details(details))


def test_a_verdict_has_its_reason_first_and_times_that_can_be_read():
    verdict = {
        "files": 2,
        "digest": "f00",
        "unchanged_since": "2026-03-01T13:00:00.123456+01:00",
        "quiet_s": 2.54,
        "quiet_needed_s": 30.0,
        "open": ["a.bin", "b.bin"],
        "marker": None,
        "status": {"catalog": {"is": "Running", "since": "2026-03-01T12:00:01+00:00"}},
        "insisted": False,
        "missing": ["a.bin is open for writing", "unchanged for 3 s of 30 s"],
        "why": "unchanged for 3 s of 30 s",
    }

    assert list(readable(verdict).items()) == [
        ("why", "unchanged for 3 s of 30 s"),
        ("missing", "a.bin is open for writing; unchanged for 3 s of 30 s"),
        ("files", "2"),
        ("unchanged since", "2026-03-01 12:00:00 UTC"),
        ("quiet", "2.5 s"),
        ("quiet needed", "30 s"),
        ("open", "a.bin; b.bin"),
        ("status", "catalog: Running since 2026-03-01 12:00:01 UTC"),
    ]


def test_details_show_where_files_were_moved_to_and_why_others_stay():
    details = some_details("a.tif")
    [execution] = details["executions"]
    execution["files"][0]["removal"] = {"to": "uploaded/run/a.tif"}
    execution["removal"] = SENTENCE
    text = piped(render_details(details))

    assert "moved to\na.tif  uploaded/run/a.tif" in text
    assert "kept 1-AA" in text


def test_a_pipe_gets_no_colour_and_whole_names():
    text = piped(render_details(some_details(LONG)))

    assert LONG in text
    assert "\x1b" not in text


def test_a_terminal_shows_all_of_a_long_name():
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    console.print(render_details(some_details(LONG)))
    text = console.file.getvalue()

    assert text.count("x") >= LONG.count("x")
    assert "…" not in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("[bold]a[/bold] :smile:", "[bold]a[/bold] :smile:"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}fit.exe", r"\u202efit.exe"),
        ("\udcff", r"\udcff"),
        ("größe", "größe"),
    ],
)
def test_no_name_can_break_a_line_or_command_the_terminal(name, shown):
    text = piped(render_details(some_details(name)))

    assert f" {shown} " in text or f" {shown}\n" in text
    assert name == shown or name not in text
