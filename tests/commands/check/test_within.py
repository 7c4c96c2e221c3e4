"""`check` goes on where the file system of a root does not answer."""

import os
import time

import pytest

from deriva_watch.commands.check import within
from deriva_watch.commands.check.finding import Line, Verdict
from deriva_watch.commands.check.within import in_time


def test_a_root_that_does_not_answer_is_named_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(within, "LONGEST_S", 0.2)
    pipe, began_s = tmp_path / "pipe", time.monotonic()
    os.mkfifo(pipe)

    def lines():
        pipe.read_bytes()
        yield Line("root", "fine")

    (line,) = in_time(f"root {tmp_path}", tmp_path, lines)

    assert time.monotonic() - began_s < 30
    assert (line.what, line.verdict) == ("does not answer", Verdict.WRONG)
    assert f"ls {tmp_path}" in line.next
    os.close(os.open(pipe, os.O_RDWR))


def test_what_a_check_finds_or_raises_is_what_it_is(tmp_path):
    def ill():
        raise TimeoutError(tmp_path)

    assert in_time("root", tmp_path, lambda: [Line("root", "fine")]) == [Line("root", "fine")]
    with pytest.raises(TimeoutError):
        in_time("root", tmp_path, ill)
