"""The log: one JSON line an event, whole under threads, and without a secret anywhere."""

import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import PurePosixPath

import pytest

from deriva_watch.core.events import (
    CallRetried,
    CredentialNeeded,
    NoticeAdded,
    RootMissing,
    ServerRecovered,
    TaskCrashed,
)
from deriva_watch.edges.host import log

SECRET = "t0ken/of+the lab"


@pytest.fixture(autouse=True)
def _libraries_speak_as_before():
    root, show = logging.getLogger(), warnings.showwarning
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    warnings.showwarning = show


def noticed(why, about="scan.tif"):
    return NoticeAdded(execution="4-AB2C", about=about, why=why)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def written(event, **options):
    """Return what becomes of one event."""
    stream = io.BytesIO()
    log.configure(stream=stream, **options)(event)
    (line,) = lines(stream)
    return line


def test_an_event_is_one_line_of_json():
    line = written(ServerRecovered(host="data.example.org", seconds=1.5))

    assert list(line) == ["event", "level", "time", "host", "seconds"]
    assert line["event"] == "server.recovered"
    assert line["level"] == "info"
    assert line["seconds"] == 1.5


def test_times_are_utc_with_microseconds():
    time = written(noticed("x"))["time"]

    assert len(time) == len("2026-01-01T00:00:00.000000Z")
    assert time.endswith("Z")


def test_only_the_wanted_levels_are_written():
    stream = io.BytesIO()
    emit = log.configure("warning", stream=stream)

    emit(CallRetried(host="h", call="GET", why="503", wait_s=1))
    emit(ServerRecovered(host="h", seconds=1))
    emit(noticed("x"))
    emit(CredentialNeeded(host="h", what="a", why="b", next="c"))

    assert [line["level"] for line in lines(stream)] == ["warning", "error"]


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"Bearer {SECRET}!",
        "/authn?t=t0ken%2Fof%2Bthe%20lab",
        "/authn?t=t0ken%2fof%2bthe+lab",
        "/authn?t=t0ken/of%2Bthe%20lab",
    ],
)
@pytest.mark.parametrize("format", ["json", "console"])
def test_a_known_secret_is_masked_however_it_is_written(format, text):  # noqa: A002
    stream = io.BytesIO()

    log.configure("info", format, lambda: [SECRET], stream)(noticed(text, about=text))

    assert b"lab" not in stream.getvalue()
    assert stream.getvalue().count(b"***") == 2


def test_a_secret_is_masked_in_names_lists_and_objects():
    why = {SECRET: [SECRET, {"x": PurePosixPath(SECRET)}], "y": ValueError(SECRET), "z": {SECRET}}

    line = written(noticed(why), secrets=lambda: [SECRET])

    assert line["why"] == {"***": ["***", {"x": "***"}], "y": "***", "z": ["***"]}


def test_a_secret_that_came_later_is_masked_too():
    stream, secrets = io.BytesIO(), []
    emit = log.configure(secrets=lambda: secrets, stream=stream)

    secrets.append(SECRET)
    emit(noticed(SECRET))

    assert lines(stream)[0]["why"] == "***"


def test_a_secret_that_json_must_escape_is_masked():
    secret = 'to"ken\\of the lab'

    assert written(noticed(f"<{secret}>"), secrets=lambda: [secret])["why"] == "<***>"


def test_an_empty_or_tiny_secret_does_not_tear_words():
    assert written(noticed("a sentence"), secrets=lambda: ["", "e"])["why"] == "a sentence"


@pytest.mark.parametrize(
    "text",
    [
        "{'bearer-token': 'abcd'}",
        '{"bearer-token": "abcd"}',
        r"{\"cookie\": \"webauthn=abcd\"}",
        "Authorization: Bearer abcd",
        "headers: Cookie: webauthn=abcd; other=abcd",
        "set-cookie=abcd",
    ],
)
def test_what_stands_behind_a_telling_name_is_masked_though_nobody_knows_it(text):
    why = written(noticed(text))["why"]

    assert "***" in why
    assert "abcd" not in why


def test_a_field_with_a_telling_name_is_masked_whole():
    why = {"cookie": ["a", "b"], "Bearer-Token": "x", "Authorization": {"y": 1}, "harmless": "z"}

    assert written(noticed(why))["why"] == {
        "cookie": "***",
        "Bearer-Token": "***",
        "Authorization": "***",
        "harmless": "z",
    }


def test_ordinary_words_about_secrets_stay_readable():
    text = "the server does not know this bearer token; the cookie has ended"

    assert written(noticed(text))["why"] == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("caf\udce9.tif", "caf\\xe9.tif"),
        ("\ud800", "\\ud800"),
        ("naïve 文", "naïve 文"),
        (b"caf\xe9", "caf\\xe9"),
        (2**70, str(2**70)),
        (float("nan"), None),
        (object, "<class 'object'>"),
        ((1, 2), [1, 2]),
        ({1: "a"}, {"1": "a"}),
        (True, True),
    ],
)
def test_any_value_can_be_written(value, shown):
    assert written(noticed(value))["why"] == shown


def test_a_library_speaks_through_the_same_stream_in_the_same_shape():
    stream = io.BytesIO()
    log.configure(secrets=lambda: [SECRET], stream=stream)

    logging.getLogger("urllib3.connectionpool").warning("retry %d of %s", 1, SECRET)

    (line,) = lines(stream)
    assert list(line) == ["event", "level", "time", "library", "message"]
    assert line["event"] == "library.message"
    assert line["library"] == "urllib3.connectionpool"
    assert line["message"] == "retry 1 of ***"


def test_the_traceback_of_a_library_has_no_secrets():
    stream = io.BytesIO()
    log.configure(secrets=lambda: [SECRET], stream=stream)

    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("deriva").exception("failed")

    (line,) = lines(stream)
    assert line["level"] == "error"
    assert "ValueError: invalid literal for int() with base 10: '***'" in line["traceback"]


def test_warnings_of_python_become_records():
    stream = io.BytesIO()
    log.configure(stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # catch_warnings put its own in place
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    (line,) = lines(stream)
    assert line["library"] == "py.warnings"
    assert "DeprecationWarning: old" in line["message"]


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_libraries_speak_from_warning_up_even_at_level_debug(level):
    """DEBUG of deriva prints whole rows of metadata."""
    stream = io.BytesIO()
    log.configure(level, stream=stream)

    for library in ("deriva", "urllib3", "watchdog"):
        logging.getLogger(library).debug("row")
        logging.getLogger(library).info("row")
        logging.getLogger(library).warning("trouble")

    assert [line["message"] for line in lines(stream)] == ["trouble"] * 3


def test_a_library_that_formats_wrongly_harms_nobody():
    stream = io.BytesIO()
    logging.getLogger().handlers.clear()  # pytest's own would raise
    log.configure(stream=stream)

    logging.getLogger("deriva").warning("%s and %s", "one")  # noqa: PLE1206

    assert lines(stream)[0]["message"] == "%s and %s ('one',)"


def test_configuring_again_writes_nothing_twice():
    first, second = io.BytesIO(), io.BytesIO()
    log.configure(stream=first)
    log.configure(stream=second)

    logging.getLogger("deriva").warning("x")

    assert (len(lines(first)), len(lines(second))) == (0, 1)


def test_lines_of_many_threads_do_not_mix(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as stream:
        emit = log.configure(stream=stream)

        def speak(number):
            for turn in range(200):
                emit(noticed("x" * 5000, about=f"{number}-{turn}"))

        threads = [threading.Thread(target=speak, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    heard = [json.loads(line)["about"] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(heard) == sorted(f"{number}-{turn}" for number in range(8) for turn in range(200))


def test_a_broken_stream_stops_nobody():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as stream:  # noqa: PTH123 (a descriptor)
        emit = log.configure(stream=stream)
        emit(noticed("nobody listens"))
    emit(noticed("the stream is closed"))

    logging.getLogger("deriva").error("neither does this")


PROGRAM = """
from deriva_watch.core.events import NoticeAdded
from deriva_watch.edges.host.log import configure
emit = configure()
for _ in range(1000):
    emit(NoticeAdded(execution="1", about="x", why="y" * 1000))
"""


@pytest.mark.parametrize("stderr", ["2>&-", "2>&1 >/dev/null | head -1", "2>/dev/full"])
def test_a_program_ends_well_whose_standard_error_is_gone(stderr, tmp_path):
    """Closed before the start, closed by the reader, on a full disk."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    shell = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} {program} {stderr}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert shell.returncode == 0, shell.stderr


def test_a_closed_standard_error_is_not_mistaken_for_the_file_that_took_its_number(tmp_path):
    journal = tmp_path / "journal"
    program = f"opened = open({str(journal)!r}, 'w'); assert opened.fileno() == 2" + PROGRAM
    (tmp_path / "program.py").write_text(program)

    subprocess.run(["bash", "-c", f"{sys.executable} {tmp_path / 'program.py'} 2>&-"], check=True)

    assert journal.read_text() == ""


def test_a_person_reads_short_lines():
    stream = io.BytesIO()

    log.configure(format="console", stream=stream)(
        RootMissing(prefix="/data", why="no such folder", next="")
    )

    time, rest = stream.getvalue().decode().split("Z ")
    assert len(time) == len("2026-01-01 00:00:00")
    assert rest == 'warning root.missing  prefix=/data why="no such folder" next=""\n'


def test_a_person_sees_a_traceback_as_it_is():
    stream = io.BytesIO()

    log.configure(format="console", stream=stream)(
        TaskCrashed(where="worker", why="a bug", traceback="Traceback:\n  line 1\n")
    )

    _, *trace = stream.getvalue().decode().splitlines()
    assert trace == ["Traceback:", "  line 1"]


def test_a_file_name_cannot_steer_the_terminal():
    stream = io.BytesIO()

    log.configure(format="console", stream=stream)(noticed("x", about="\x1b[31mred\u202e\n2026"))

    assert stream.getvalue().count(b"\n") == 1
    assert stream.getvalue().decode().rstrip("\n").isprintable()
