"""The rows of a file, or of deriva-ml's workspace, one after the other."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from deriva_watch.core.row_plan import RowsPlan
from deriva_watch.core.table_files import (
    LIST_BYTES,
    RECORD_BYTES,
    Format,
    RawRow,
    TableFileError,
    csv_header,
    csv_rows,
    json_rows,
    jsonl_rows,
)
from deriva_watch.engine.ports import Disk


@contextmanager
def opened(disk: Disk, plan: RowsPlan) -> Iterator[BinaryIO]:
    """Open the file of *plan*; records of the workspace have none, and it is empty."""
    if plan.format is Format.RECORDS:
        yield io.BytesIO()
        return
    with disk.open(plan.entry) as body:
        yield body


def rows_in(plan: RowsPlan, body: BinaryIO) -> Iterator[RawRow]:
    """Return the rows from the beginning; TableFileError where they cannot be read."""
    body.seek(0)
    match plan.format:
        case Format.RECORDS:
            return iter(plan.records)
        case Format.CSV:
            return csv_rows(_lines(body))
        case Format.JSONL:
            return jsonl_rows(_lines(body))
        case Format.JSON:
            content = body.read(LIST_BYTES + 1)
            if len(content) > LIST_BYTES:
                why = f"a JSON list may have {LIST_BYTES >> 20} MiB; write CSV, or an object a line"
                raise TableFileError("the file", f"{why} (.jsonl)")
            return json_rows(content)


def columns_in(plan: RowsPlan, body: BinaryIO) -> set[str]:
    """Return all columns that some row gives, before any is sent."""
    if plan.format is Format.CSV:
        body.seek(0)
        return set(csv_header(_lines(body)))
    found: set[str] = set()
    for row in rows_in(plan, body):
        found.update(row.cells)
    return found


def _lines(body: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := body.readline(RECORD_BYTES + 1):
        number += 1
        if len(line) > RECORD_BYTES:
            raise TableFileError(f"line {number}", f"it is longer than {RECORD_BYTES >> 20} MiB")
        yield line
