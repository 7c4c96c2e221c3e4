"""`show` for people: the story of an execution, narrow, and whole in a pipe."""

import io

import pytest
from rich.console import Console

from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.status import render_details, show
from deriva_watch.status.text.timeline import described
from deriva_watch.status.text.verdict import readable

AT = "2026-03-01T12:00:00+00:00"
SENTENCE = {"what": "cannot store it", "why": "403", "next": "Ask."}
UNSAID = dict.fromkeys(SENTENCE)
LONG = "asset/" + "x" * 249
URL = "/hatrac/Image/" + "0" * 32 + ".a.tif:ABC"


def a_file(path, state="linked", **more):
    known = {"size_bytes": 3000, "md5": "0" * 32, "table": "lab:Image", "rid": "2-B", "url": URL}
    return {"path": path, "state": state, **known, "rows": None, **UNSAID, **more}


def a_line(after, trigger=None, path=None, before=None, **detail):
    moved = {"before": before, "trigger": trigger, "after": after}
    return {"at": AT, "path": path, **moved, "detail": detail}


def some_details(*paths, **more):
    execution = {
        "rid": "1-AA",
        "prefix": "/data",
        "server": "example.org/1",
        "state": "refused",
        "changed_at": AT,
        "next_at": None,
        "attempts": 0,
        **SENTENCE,
        "verdict": {"rules": ["quiet"], "quiet_s": 30},
        "proved": None,
        "differs": None,
        "files": [a_file(path, "refused", url=None, rid=None, **SENTENCE) for path in paths],
        "notices": {"a.tif": "2 rows say the same of it"},
        "history": [a_line("filling"), a_line("found", path="a.tif")],
        **more,
    }
    return {"rid": "1-AA", "executions": [execution]}


def piped(view):
    file = io.StringIO()
    show(view, file)
    return file.getvalue()


def test_a_story_is_told_in_the_order_in_which_one_asks():
    text = piped(render_details(some_details("a.tif")))

    assert text.startswith("1-AA: refused\n    cannot store it\n    403\n    Ask.\nserver ")
    parts = [
        "is it complete?",
        "unchanged for  30 s",
        "files",
        "refused a.tif\n    cannot store it",
    ]
    parts += ["notices\n  a.tif: 2 rows say the same of it", "history (UTC)", "first seen"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count("first seen") == 1  # of files not without being asked for


def test_what_is_in_has_its_size_row_and_object_version():
    files = [a_file("a.tif"), a_file("odd.txt", "unmatched", rid=None, url=None)]
    details = some_details(**UNSAID, state="uploaded", files=files)
    text = piped(render_details(details))

    assert text.startswith("1-AA: uploaded, 1 file, 3.0 kB; 1 file left out\n")
    assert "  linked  3.0 kB  a.tif\n                  RID 2-B, version ABC\n" in text
    full = f"RID 2-B, version {URL}, table lab:Image, MD5 {'0' * 32}\n"
    assert full in piped(render_details(details, files=True))


def test_files_are_folded_and_the_command_that_unfolds_them_is_told():
    details = some_details(rid="my unit", files=[a_file(f"{n:02}.tif") for n in range(12)])

    assert "  and 2 files more: deriva-watch show 'my unit' --files\n" in piped(
        render_details(details)
    )
    assert "11.tif" in piped(render_details(details, files=True))


def test_a_long_history_is_folded_and_that_of_files_is_told_when_asked_for():
    lines = [a_line("ready", "due", before="waiting") for _ in range(32)]
    details = some_details(history=[*lines, a_line("found", path="a.tif", size_bytes=3000)])
    short, whole = piped(render_details(details)), piped(render_details(details, whole=True))

    assert "  2 earlier lines: deriva-watch show 1-AA --all\n" in short
    assert (short.count("next attempt is due"), whole.count("next attempt is due")) == (30, 32)
    assert "a.tif\n  2026-03-01 12:00:00  first seen: 3.0 kB\n" in whole
    assert "first seen" not in short


def test_attempts_are_counted_where_one_was_not_enough():
    history = [a_line("uploading", "claimed", before="ready")] * 3
    once = some_details(history=history[:1])

    assert "attempts" not in piped(render_details(once))
    assert "attempts       3, the last 2 failed\n" in piped(
        render_details(some_details(history=history, attempts=2))
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (a_line("filling"), "first seen"),
        (a_line("ready", "completed", verdict={"why": "all is quiet"}), "complete: all is quiet"),
        (
            a_line("waiting", "deferred", **SENTENCE, next_at=AT, attempts=2),
            "postponed: cannot store it: 403; again at 2026-03-01 12:00:00; 2 attempts failed",
        ),
        (
            a_line("uploaded", "finished", files={"linked": 1200, "ignored": 0}, size_bytes=5000),
            "uploaded: 1,200 linked; 5.0 kB",
        ),
        (
            a_line("stored", "stored", path="a", url="/hatrac/a:1", seconds=3.2),
            "stored: /hatrac/a:1; took 3 s",
        ),
        (a_line("recorded", "recorded", path="a", rid="2-B"), "row written: 2-B"),
        (a_line("linked", "linked", path="a", seconds=0.1), "linked: in the catalog"),
    ],
)
def test_a_line_of_history_is_a_sentence(line, sentence):
    assert described({**line, "before": line["trigger"] and "before"}) == sentence


@pytest.mark.parametrize(("path", "triggers"), [(None, ExecutionTrigger), ("a", FileTrigger)])
def test_every_trigger_has_words(path, triggers):
    moved = {"path": path, "before": "x", "after": "y", "detail": {}}

    assert [each for each in triggers if "y" in described({**moved, "trigger": each}).split()] == []


def test_details_show_the_execution_that_was_made_for_a_unit_of_a_drop_folder():
    details = some_details("a.tif")
    assert "execution  " not in piped(render_details(details))

    details["executions"][0]["execution_rid"] = "1-EX"

    assert "execution      1-EX" in piped(render_details(details))


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
        "requested": False,
        "missing": ["a.bin is open for writing", "unchanged for 3 s (30 s required)"],
        "why": "unchanged for 3 s (30 s required)",
    }

    assert list(readable(verdict).items()) == [
        ("why", "unchanged for 3 s (30 s required)"),
        ("missing", "a.bin is open for writing; unchanged for 3 s (30 s required)"),
        ("files", "2"),
        ("unchanged since", "2026-03-01 12:00:00 UTC"),
        ("unchanged for", "2.5 s"),
        ("required", "30 s"),
        ("open for writing", "a.bin; b.bin"),
        ("status", "catalog: Running since 2026-03-01 12:00:01 UTC"),
    ]


def test_details_show_where_files_were_moved_to_and_why_others_stay():
    moved = a_file("a.tif", "removed", removal={"to": "uploaded/run/a.tif"})
    text = piped(render_details(some_details(files=[moved], removal=SENTENCE)))

    assert "\n                   moved to uploaded/run/a.tif\n" in text
    assert "local files of 1-AA are kept\n    cannot store it\n" in text


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


def test_the_last_proof_and_what_differs_are_told():
    differs = {"what": "it lost a.tif", "why": "it is gone", "next": "Restore it."}

    text = piped(
        render_details(
            some_details(state="uploaded", proved_at=AT, proved="all was there", differs=differs)
        )
    )

    assert "2026-03-01 12:00:00 UTC: all was there" in text
    assert "no longer on the server as uploaded\n    it lost a.tif\n    it is gone\n" in text
