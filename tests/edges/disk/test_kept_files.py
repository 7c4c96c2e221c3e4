from datetime import UTC, datetime

import pytest

from deriva_watch.edges.disk import receipts
from deriva_watch.edges.disk.read_marks import ReadMarks

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEPT = "example.org/1", "1-AA"


@pytest.mark.parametrize(
    "content",
    [b"\0" * 4096, b"[" * 100_000, b'{"files": [], "files": []}', b'{"files": [NaN]}', b"[]"],
)
def test_a_damaged_receipt_is_none(tmp_path, content):
    path = receipts.write_receipt(tmp_path, *KEPT, {"files": []})
    assert receipts.read_receipt(tmp_path, *KEPT) == {"files": []}

    path.write_bytes(content)

    assert receipts.read_receipt(tmp_path, *KEPT) == {}


@pytest.mark.parametrize("rest", ["", '{"object": "/hatrac/b'])
def test_reading_back_goes_on_where_a_kill_ended_it(tmp_path, rest):
    path = tmp_path / "marks"
    ReadMarks.resumed(path, NOW).add("/hatrac/a")
    with path.open("a") as file:
        file.write(rest)

    assert ReadMarks.resumed(path, NOW).urls == {"/hatrac/a"}


@pytest.mark.parametrize("odd", ["\0" * 100, "[" * 100_000, "x" * 100_000])
def test_reading_back_starts_over_where_its_marks_are_damaged(tmp_path, odd):
    path = tmp_path / "marks"
    ReadMarks.resumed(path, NOW).add("/hatrac/a")
    with path.open("a") as file:
        file.write(f"{odd}\n")

    assert ReadMarks.resumed(path, NOW).urls == set()
