"""Reads the rows of a file, or of deriva-ml's workspace, one after the other."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import (
    LIST_BYTES,
    LIST_TOO_LARGE,
    MOST_COLUMNS,
    RECORD_BYTES,
    Format,
    RawRow,
    TableFileError,
    csv_header,
    csv_rows,
    json_rows,
    jsonl_rows,
    too_many_columns,
)
from deriva_watch.engine.ports import Disk


@contextmanager
def opened(disk: Disk, plan: RowsPlan) -> Iterator[BinaryIO]:
    """Open the file of *plan*; an empty one for records of the workspace."""
    if plan.format is Format.RECORDS:
        yield io.BytesIO()
        return
    with disk.open(plan.entry) as body:
        yield body


def rows_in(plan: RowsPlan, body: BinaryIO) -> Iterator[RawRow]:
    """Return the rows from the beginning; TableFileError if they cannot be read."""
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
                raise TableFileError("the file", LIST_TOO_LARGE)  # it has grown since
            return json_rows(content)


def columns_in(plan: RowsPlan, body: BinaryIO) -> set[str]:
    """Return the columns of all rows, before any row is sent."""
    if plan.format is Format.CSV:
        body.seek(0)
        return set(csv_header(_lines(body)))
    found: set[str] = set()
    for row in rows_in(plan, body):
        found.update(row.cells)
        if len(found) > MOST_COLUMNS:
            raise TableFileError(row.place, too_many_columns(len(found)))
    return found


def _lines(body: BinaryIO) -> Iterator[bytes]:
    number = 0
    while line := body.readline(RECORD_BYTES + 1):
        number += 1
        if len(line) > RECORD_BYTES:
            raise TableFileError(f"line {number}", f"it is longer than {RECORD_BYTES >> 20} MiB")
        yield line


@dataclass(frozen=True, slots=True)
class Count:
    """The number of rows in a file, before anything is sent.

    Attributes:
        rows: How many rows have valid values.
        bad: How many do not.
        problem: The first invalid row, or why the file cannot be read further; None if all is well.
    """

    rows: int
    bad: int = 0
    problem: str | None = None


def count(disk: Disk, plan: RowsPlan) -> Count:
    """Read a file of rows to its end, and check every value."""
    rows, bad, problem = 0, 0, None
    try:
        with opened(disk, plan) as body:
            plan.check_columns(columns_in(plan, body))
            for row in rows_in(plan, body):
                try:
                    plan.values(row)
                    rows += 1
                except ValueError as error:
                    bad, problem = bad + 1, problem or f"{row.place}: {error}"
    except TableFileError as error:
        bad, problem = bad + 1, problem or str(error)
    except RefusedError as error:
        problem = error.why
    except (OSError, FileChangedError):
        problem = "it cannot be read, or it changed meanwhile"
    return Count(rows, bad, problem)
