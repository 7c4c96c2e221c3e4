"""While a file is open, a thread that hangs waits for the root of the file."""

import threading
from contextlib import contextmanager

import pytest

from deriva_watch import liveness
from deriva_watch.edges.disk.scanning import scanner
from deriva_watch.edges.disk.scanning.content import open_content
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from running import accused, wait_until


@pytest.fixture
def opened(tmp_path):
    """Return what opens a file below *tmp_path*."""
    root = tmp_path / "deriva-ml/execution/1-AB"
    root.mkdir(parents=True)
    (root / "a.bin").write_bytes(b"abc")
    rules = ScanPolicy(tmp_path)
    entry = scanner.scan(root, rules).entries["a.bin"]
    return lambda: open_content(root, entry, rules)


@contextmanager
def silent_thread(work):
    """Let a thread do *work* with a function that keeps it silent until the context ends."""
    ends = threading.Event()

    def run():
        liveness.begin()
        work(lambda: ends.wait(60))
        liveness.end()

    thread = threading.Thread(target=run, name="silent")
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(60)


def test_a_thread_that_is_silent_while_a_file_is_open_waits_for_its_root(
    opened, tmp_path, monkeypatch
):
    monkeypatch.setattr(liveness, "BLOCK_S", 0.0)

    def work(be_silent):
        with opened() as body:
            assert body.read() == b"abc"
            be_silent()

    with silent_thread(work):
        wait_until(lambda: [each.about for each in liveness.hangs()] == [str(tmp_path)])
        assert not accused()


def test_a_thread_that_has_closed_its_file_is_silent_by_its_own_fault(opened, monkeypatch):
    monkeypatch.setattr(liveness, "SILENT_S", 0.0)

    def work(be_silent):
        with opened() as body:
            body.read()
        be_silent()

    with silent_thread(work):
        wait_until(lambda: accused() == ["silent"])
        assert not liveness.hangs()
