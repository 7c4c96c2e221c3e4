"""A receipt says of a file what the journal knows."""

from dataclasses import replace
from datetime import UTC, datetime

from deriva_watch.core.records import ON_SERVER, FileRecord
from deriva_watch.core.states import FileState
from deriva_watch.pipeline.receipt_schema import Line, line, read, records

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORD = FileRecord(
    id=0,
    execution_id=0,
    path="asset/\udcff.tif",
    state=FileState.LINKED,
    changed_at=AT,
    size_bytes=3,
    md5="0" * 32,
    sha256="0" * 64,
    table="demo:Image",
    url="/hatrac/a:1",
    rid="4-AB2D",
    adopted=True,
    rows=7,
    types=["Raw"],
)


def receipt(*lines):
    return {
        "receipt": 1,
        "server": "example.org/1",
        "execution": "4-AB2C",
        "directory": "/data",
        "written_at": AT.isoformat(),
        "verdict": None,
        "files": list(lines),
    }


def test_a_line_holds_all_that_the_server_holds_of_a_file():
    assert set(ON_SERVER) <= set(Line.model_fields)


def test_a_file_is_read_from_its_line_as_it_was_written():
    internal = replace(RECORD, id=7, execution_id=3, mtime_ns=1, inode=2, job={"url": "x"})

    written = line(internal, ["asset/link.tif"])

    assert records(read(receipt(written), "here")) == [RECORD]


def test_a_line_names_the_object_and_the_time_in_the_words_of_a_receipt():
    written = line(replace(RECORD, rows=None, types=None), [])

    assert (written["file"], written["object"]) == (RECORD.path, RECORD.url)
    assert written["recorded_at"] == "2026-03-01T12:00:00+00:00"
    assert written["types"] == []
    assert written.keys().isdisjoint({"rows", "links", "path", "url"})
