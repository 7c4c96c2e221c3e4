"""`status` for people: one screen, and whole in a pipe."""

import io

import pytest
from rich.console import Console

from deriva_watch.core.states import ExecutionState, FileState
from deriva_watch.status import render_summary, show

AT = "2026-03-01T12:00:00+00:00"
SENTENCE = {"what": "cannot store it", "why": "403", "next": "Ask."}
WHO = {"rid": "1-AA", "prefix": "/data"}
LISTS = ("in_flight", "filling", "refused", "waiting", "unmatched", "differing", "recent", "paused")
SAFE = {
    "level": "safe",
    "text": "all 2 files of 1 execution are in the catalog on example.org",
    "next": None,
}
GOING = {
    **WHO,
    "label": "execution 1-AA",
    "state": "uploading",
    "since": AT,
    "files": 10,
    "files_done": 4,
    "bytes": 2_000_000_000,
    "bytes_done": 1_500_000_000,
    "rate_bytes_per_s": 5e6,
    "eta_s": 100.0,
    "current": [],
}


def a_summary(**fields):
    return {
        "at": AT,
        "server": "example.org/1",
        "healthy": True,
        "reasons": [],
        "journal": "/var/lib/deriva-watch/journal.db",
        "daemon": 17,
        "problems": [],
        "executions": dict.fromkeys(ExecutionState, 0),
        "files": dict.fromkeys(FileState, 0),
        "oldest_pending_s": 0.0,
        "oldest_proof": None,
        "bytes": {"safe": 0, "pending": 0},
        "notices": [],
        "verdict": SAFE,
        **{name: [] for name in LISTS},
        **fields,
    }


def piped(*, whole=False, **fields):
    file = io.StringIO()
    show(render_summary(a_summary(**fields), whole=whole), file)
    return file.getvalue()


def on_a_terminal(width=80, **fields):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(render_summary(a_summary(**fields)))
    return console.file.getvalue()


def test_the_first_line_is_the_verdict():
    assert (
        piped().splitlines()[0] == "✓  all 2 files of 1 execution are in the catalog on example.org"
    )


@pytest.mark.parametrize(
    ("level", "mark"), [("busy", "↑"), ("person", "!"), ("trouble", "✗"), ("empty", "·")]
)
def test_the_next_line_is_the_command_that_helps(level, mark):
    verdict = {"level": level, "text": "somebody is needed", "next": "deriva-watch show 1-AA"}
    lines = piped(verdict=verdict).splitlines()

    assert lines[:2] == [f"{mark}  somebody is needed", "   deriva-watch show 1-AA"]


def test_facts_are_the_end():
    text = piped(
        executions={"uploaded": 1234, "gone": 0},
        files={"linked": 2, "found": 1},
        bytes={"safe": 1_500_000, "pending": 10},
        oldest_pending_s=7200.0,
    )

    assert text.endswith(
        "server      example.org/1\n"
        "daemon      process 17\n"
        "journal     /var/lib/deriva-watch/journal.db\n"
        "executions  1,234 uploaded\n"
        "files       2 linked, 1 found\n"
        "bytes       1.5 MB in the catalog, 10 bytes to upload\n"
        "oldest      complete for 2 h, still not uploaded\n"
    )
    assert "daemon      not running" in piped(daemon=None)


def test_what_is_on_its_way_says_how_far_it_is_and_how_long_yet():
    current = [{"path": "assets/big.tif", "bytes": 1000, "bytes_done": 999}]
    ready = {**GOING, "rid": "1-AB", "state": "ready", "files": 0, "rate_bytes_per_s": None}
    text = piped(in_flight=[{**GOING, "current": current}, ready])

    assert (
        "uploading\n"
        "  1-AA    75%  4 of 10 files, 2.0 GB  5.0 MB/s, 2 min left\n"
        "      99%  of 1.0 kB  assets/big.tif\n"
        "  1-AB  ready\n"
    ) in text


def test_a_terminal_has_bars_and_a_pipe_has_none():
    assert "━" in on_a_terminal(in_flight=[GOING])
    assert "━" not in piped(in_flight=[GOING])


def test_what_waits_and_what_fills_say_until_when():
    next_at = "2026-03-01T12:05:00+00:00"
    waiting = {**WHO, "next_at": next_at, "attempts": 2, **SENTENCE}
    filling = {**WHO, "next_at": next_at, "why": "a.bin is open"}
    overdue = {**filling, "next_at": "2026-03-01T11:00:00+00:00"}
    text = piped(waiting=[waiting], filling=[filling, overdue])

    assert (
        "  1-AA, next attempt in 5 min, 2 attempts failed\n    cannot store it\n    403\n" in text
    )
    assert "  1-AA  a.bin is open; next check in 5 min\n" in text
    assert "  1-AA  a.bin is open; next check now\n" in text


def test_what_needs_a_person_says_what_why_and_what_next():
    example = {"path": "odd.txt", "why": "no mapping matches it"}
    refused = {**WHO, "changed_at": AT, "files": 0, "examples": [], **SENTENCE}
    unmatched = {"rid": "a unit", "prefix": "/data", "files": 4, "examples": [example] * 3}
    text = piped(refused=[refused], unmatched=[unmatched])

    assert "refused\n  1-AA\n    cannot store it\n    403\n    Ask.\n" in text
    assert (
        "unmatched\n  a unit: 4 files, deriva-watch show 'a unit'\n"
        "    odd.txt: no mapping matches it\n"
    ) in text


def test_what_holds_the_daemon_up_and_what_is_held_back_are_told():
    problem = {"about": "server", **SENTENCE, "since": AT}
    paused = {"about": "host", "since": "2026-03-01T11:00:00+00:00", "why": "network work"}
    paused |= {"what": "paused by alice", "next": "`deriva-watch resume` ends the pause."}
    notice = {"about": "the journal", "at": AT, "path": "/x", **SENTENCE}
    text = piped(problems=[problem], paused=[paused], notices=[notice])

    assert "\n    cannot store it\n    403\n    Ask.\n" in text
    said = "paused by alice\n    network work\n    `deriva-watch resume` ends the pause.\n"
    assert f"paused\n  all uploads, 60 min ago\n    {said}" in text
    assert "cannot store it: 403. Ask.\n" in text


def test_what_fills_is_told_with_how_much_there_is_so_far():
    filling = {**WHO, "next_at": None, "why": "unchanged for 1 s (30 s required)"}
    filling |= {"files": 2000, "bytes": 4_000_000}

    assert "1-AA  2,000 files, 4.0 MB so far: unchanged for 1 s" in piped(filling=[filling])


def test_what_came_in_last_is_told():
    recent = [{**WHO, "at": "2026-03-01T11:59:30+00:00", "files": 1, "bytes": 5}]

    assert "uploaded last\n  1-AA  30 s ago  1 file, 5 bytes\n" in piped(recent=recent)


def test_the_folder_is_told_where_there_are_several():
    entries = [{**WHO, "at": AT, "files": 1, "bytes": 5}]
    other = [{"rid": "1-AA", "prefix": "/more", "next_at": None, "why": None}]

    assert "/data" not in piped(recent=entries)
    assert "  1-AA in /data" in piped(recent=entries, filling=other)


def test_long_lists_are_folded_and_the_command_that_unfolds_them_is_told():
    entries = [{"rid": f"1-{n}", "prefix": "/d", "next_at": None, "why": "open"} for n in range(7)]
    folded = piped(filling=entries, filling_more=1200)
    whole = piped(filling=entries, filling_more=1200, whole=True)

    assert "  1-2  open\n  and 1,204 more: deriva-watch status --all\n" in folded
    assert "  1-6  open\n  and 1,200 more\n" in whole


def test_an_ordinary_day_fits_a_small_terminal():
    current = [{"path": f"assets/Image/{n:020}.tif", "bytes": 10, "bytes_done": 1} for n in "12"]
    text = on_a_terminal(
        verdict={**SAFE, "level": "busy"},
        in_flight=[{**GOING, "current": current}, {**GOING, "rid": "1-AB"}],
        filling=[{**WHO, "next_at": AT, "why": "a.bin is open for writing"}],
        recent=[{**WHO, "at": AT, "files": 1, "bytes": 5}] * 20,
    )

    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("[bold]a[/bold] :smile:", "[bold]a[/bold] :smile:"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}fit.exe", r"\u202efit.exe"),
    ],
)
def test_no_name_can_break_a_line_or_command_the_terminal(name, shown):
    current = [{"path": name, "bytes": 10, "bytes_done": 1}]
    entry = {"rid": name, "prefix": "/d", "next_at": AT, "why": name, "attempts": 0}
    said = dict.fromkeys(("what", "why", "next"), name)
    text = piped(
        in_flight=[{**GOING, "rid": name, "current": current}],
        filling=[entry],
        waiting=[{**entry, **said}],
        refused=[{**entry, **said, "files": 1, "examples": []}],
        unmatched=[{**entry, "files": 1, "examples": [{"path": name, "why": name}]}],
        recent=[{"rid": name, "prefix": "/d", "at": AT, "files": 1, "bytes": 1}],
        paused=[{"about": name, "since": AT, **said}],
    )

    assert text.count(shown) >= 15
    assert name == shown or name not in text


def test_the_oldest_proof_says_of_what_and_what_it_proved():
    proof = {**WHO, "at": AT, "by": "server", "proved": "every row was there"}

    assert "oldest proof  2026-03-01 12:00:00 UTC, 1-AA: every row was there" in piped(
        oldest_proof=proof
    )


def test_what_differs_is_told_with_what_to_do():
    text = piped(differing=[{**WHO, **SENTENCE, "since": AT}])

    assert "no longer on the server as uploaded\n  1-AA, found 0 s ago\n" in text
    assert SENTENCE["next"] in text
