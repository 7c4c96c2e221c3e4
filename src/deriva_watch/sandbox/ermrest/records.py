"""Reads the rows of a request: JSON, a stream of JSON lines, or CSV."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.constraints import Row
from deriva_watch.sandbox.ermrest.model import Column
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed, refused

CSV: Final = "text/csv"
JSON: Final = "application/json"
JSON_LINES: Final = "application/x-json-stream"

# A quoted field, or a plain one; then a comma, a line's end, or the text's end.
CSV_FIELD: Final = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\Z)')


def read_rows(
    inputs: Mapping[str, Column], optional: set[str], body: bytes, content_type: str
) -> list[Row]:
    """Return the rows in *body*, cast to the types of their columns.

    Args:
        inputs: The columns by the names they have in the request.

        optional: Names which a CSV header may leave out.

        body: The request's body.

        content_type: Its media type, without parameters.

    Raises:
        RefusedError: 400 for a value that cannot be read or cast; 409 an unknown CSV column;
            415 another media type.
    """
    if content_type == CSV:
        return _csv_rows(inputs, optional, _decoded(body))
    if content_type not in {JSON, JSON_LINES}:
        raise refused(415, f"{content_type} input not supported")
    text = _decoded(body)
    try:
        lines = content_type == JSON_LINES
        documents = [_parsed(line) for line in text.splitlines()] if lines else _parsed(text)
        if not isinstance(documents, list):
            raise ValueError("cannot call json_to_recordset on a non-array")  # noqa: TRY004, TRY301  # one answer for all
        return [_json_row(inputs, document) for document in documents]
    except (ValueError, RecursionError) as error:
        raise malformed(f"Bad JSON array input. ERROR:  {error}") from None


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=values.Literal, parse_constant=_no_constant)


def _no_constant(text: str) -> Any:
    raise ValueError(f"Token {text!r} is invalid.")


def _json_row(inputs: Mapping[str, Column], document: Any) -> Row:
    """Return one row, without keys that are not columns.

    Measured: a missing value is null, not the default; for an array column it is an empty
    array. A value that is not an object becomes a row of nulls.
    """
    document = document if isinstance(document, dict) else {}
    return {
        name: "[]"
        if column.is_array and name not in document
        else values.from_json(column, document.get(name))
        for name, column in inputs.items()
    }


def _csv_rows(inputs: Mapping[str, Column], optional: set[str], text: str) -> list[Row]:
    lines = _csv_lines(text)
    header = [name or "" for name in next(lines, [])]
    for at, name in enumerate(header):
        if name not in inputs:
            raise conflict(f"CSV column {name} not recognized.")
        if name in header[:at]:
            raise malformed(f"CSV column {name} appears more than once.")
    missing = [name for name in inputs if name not in header and name not in optional]
    if missing:
        raise malformed(f"Missing expected CSV columns: {', '.join(missing)}.")
    rows = []
    for fields in lines:
        if len(fields) != len(header):
            raise malformed(f"Bad CSV input. {len(fields)} fields for {len(header)} columns.")
        row: Row = dict.fromkeys(inputs)
        try:
            for name, field in zip(header, fields, strict=True):
                row[name] = None if field is None else values.from_text(inputs[name], field)
        except values.CastError as error:
            raise malformed(f"Bad CSV input. ERROR:  {error}") from None
        rows.append(row)
    return rows


def _csv_lines(text: str) -> Iterator[list[str | None]]:
    """Split CSV as PostgreSQL does: an empty field is null, a quoted empty one is not."""
    at, fields = 0, list[str | None]()
    while at < len(text) or fields:
        match = CSV_FIELD.match(text, at)
        if match is None and "\r" in text[at:]:
            raise refused(500, "unquoted carriage return found in data")
        if match is None:
            raise malformed("Bad CSV input. ERROR:  unterminated CSV quoted field")
        quoted_field, plain_field, end = match.groups()
        fields.append(plain_field or None if quoted_field is None else _unquoted(quoted_field))
        at = match.end()
        if end != ",":
            yield fields
            fields = []


def _unquoted(field: str) -> str:
    return field.replace('""', '"')


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise refused(500, str(error)) from None  # measured
