"""Read the rows of table files: CSV as PostgreSQL reads it, JSON lines, a JSON list.

An unquoted empty field is NULL and a quoted one the empty text, which Python's own reader cannot
tell apart. Nothing is held but the record at hand, except for JSON lists, which have no lines.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from deriva_watch.core.json_text import FILE_BYTES, JsonError, read_json

RECORD_BYTES: Final = 16 * 1024 * 1024  # of one record: an unclosed quote would take the whole file
MOST_COLUMNS: Final = 1600  # of a table in PostgreSQL
LIST_BYTES: Final = FILE_BYTES  # of a JSON list, which is read whole
LIST_TOO_LARGE: Final = f"it is larger than {LIST_BYTES >> 20} MiB, the most for one JSON list"
_BOM: Final = b"\xef\xbb\xbf"
# Possessive: otherwise a quoted field with text after it takes 2**length steps.
_FIELD: Final = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",]*))(,|\Z)')


class Format(StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    JSON = "json"  # one list of objects
    JSONL = "jsonl"  # an object a line
    RECORDS = "records"  # no file: feature records of deriva-ml's workspace


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it is written.

    Attributes:
        place: Where, for a person: "line 7".
        cells: Texts or JSON values by column; None is NULL.
        recorded: Another uploader says that it is in the catalog.
    """

    place: str
    cells: Mapping[str, Any]
    recorded: bool = False


class TableFileError(ValueError):
    """A file cannot be read as rows from some place on."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place, self.why = place, why


def too_many_columns(count: int) -> str:
    """Return why a file with so many columns cannot be uploaded."""
    return f"it has {count:,} columns, and no table has more than {MOST_COLUMNS:,}"


def csv_header(lines: Iterable[bytes]) -> list[str]:
    """Return the columns of a CSV file; none if it is empty."""
    return _header(_records(lines))


def csv_rows(lines: Iterable[bytes]) -> Iterator[RawRow]:
    """Yield the rows of a CSV file with a header (RFC 4180).

    An empty line is not a row, unless the table has one column: there it is NULL.

    Raises:
        TableFileError: A record has more or fewer fields than the header, or cannot be read.
    """
    records = _records(lines)
    header = _header(records)
    for number, fields in records:
        if len(fields) != len(header):
            if fields == [None]:
                continue
            why = f"it has {len(fields)} fields, the header {len(header)}"
            raise TableFileError(f"line {number}", why)
        yield RawRow(f"line {number}", dict(zip(header, fields, strict=True)))


def _header(records: Iterator[tuple[int, list[str | None]]]) -> list[str]:
    _, names = next(records, (1, []))
    if None in names or "" in names:
        raise TableFileError("line 1", "the header has a column without a name")
    if len(names) > MOST_COLUMNS:
        raise TableFileError("line 1", too_many_columns(len(names)))
    header = [name for name in names if name is not None]
    if twice := sorted(name for name, count in Counter(header).items() if count > 1):
        raise TableFileError("line 1", f"the header names {', '.join(twice)} twice")
    return header


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, list[str | None]]]:
    """Yield the fields of each record, with the number of the line where it begins."""
    begun, text, is_open = 0, "", False
    for number, line in enumerate(lines, 1):
        part = _decoded(number, line)
        if not text:
            begun = number
        text += part
        is_open ^= part.count('"') % 2 == 1
        if is_open:
            if len(text) > RECORD_BYTES:
                raise TableFileError(f"line {begun}", "a quoted field does not end")
            continue
        yield begun, _fields(begun, text)
        text = ""
    if text:
        raise TableFileError(f"line {begun}", "a quoted field does not end")


def _decoded(number: int, line: bytes) -> str:
    try:
        return (line.removeprefix(_BOM) if number == 1 else line).decode()
    except UnicodeDecodeError:
        raise TableFileError(f"line {number}", "it is not UTF-8") from None


def _fields(number: int, text: str) -> list[str | None]:
    record = text.removesuffix("\n").removesuffix("\r")
    if '"' not in record:
        if "\r" in record:
            why = "a carriage return without a line feed; end lines with LF or CRLF"
            raise TableFileError(f"line {number}", why)
        return [field or None for field in record.split(",")]
    fields: list[str | None] = []
    at, more = 0, ","
    while more:
        if (match := _FIELD.match(record, at)) is None:
            why = "a quote inside an unquoted field, or text after a quoted one"
            raise TableFileError(f"line {number}", why)
        quoted, plain, more = match.groups()
        fields.append(plain or None if quoted is None else quoted.replace('""', '"'))
        at = match.end()
    return fields


def jsonl_rows(lines: Iterable[bytes]) -> Iterator[RawRow]:
    """Yield the rows of a file with a JSON object per line; empty lines are skipped."""
    for number, line in enumerate(lines, 1):
        text = _decoded(number, line)
        if text.strip():
            yield RawRow(f"line {number}", _object(f"line {number}", text))


def json_rows(content: bytes) -> Iterator[RawRow]:
    """Yield the rows of a file that is one JSON list of objects."""
    try:
        rows = read_json(content.removeprefix(_BOM) or b"[]")
    except JsonError as error:
        raise TableFileError("the file", f"it is not valid JSON: {error}") from None
    if not isinstance(rows, list):
        raise TableFileError("the file", "it is not a list of objects")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise TableFileError(f"row {number}", "it is not an object")
        yield RawRow(f"row {number}", row)


def _object(place: str, text: str) -> dict[str, Any]:
    try:
        found = read_json(text)
    except JsonError as error:
        raise TableFileError(place, f"it is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise TableFileError(place, "it is not an object")
    return found
