"""Values of metadata columns: in a path segment, in a row, and compared with a row.

A column's typename decides what a text means. A text that is not a value of that type is refused
here, before anything is sent: the server would refuse its whole batch.
"""

import json
import math
import re
import struct
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote, unquote

from deriva_watch.core.json_text import read_json
from deriva_watch.core.layout import ROOT
from deriva_watch.core.model import Column
from deriva_watch.core.unicode_forms import composed

NULL_SENTINEL: Final = "__NULL__"

# Not encoded: the characters of the original patterns, so that ordinary values stay readable. "%"
# is always encoded, so that decoding is unambiguous.
_PLAIN: Final = " :"
# Texts that would mean something else in a path: a directory, NULL, or the start of another tree
# (every pattern of a bulk spec looks for that). No text contains NUL, so it can encode the empty
# text.
_CODED: Final = {
    "": "%00",
    ".": "%2E",
    "..": "%2E%2E",
    NULL_SENTINEL: f"%5F{NULL_SENTINEL[1:]}",
    ROOT: ROOT.replace("-", "%2D"),
}
_JSON_TYPES: Final = (bool, int, float, list, dict)
TEXT_TYPES: Final = ("text", "longtext", "markdown", "ermrest_uri", "ermrest_curie")
_WRONG: Final = (ValueError, TypeError, OverflowError, InvalidOperation, RecursionError)
_TRUTHS: Final = {  # as PostgreSQL reads them
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_SHOWN_LENGTH: Final = 80  # of a value in a sentence


class _OffsetError(ValueError):
    """A time with an offset, for a column that keeps none (measured on PostgreSQL)."""


def segment_from(value: Any) -> str:
    """Return the path segment for *value*; None becomes the NULL sentinel.

    Texts are kept, numbers, booleans, lists and objects become JSON, anything else (dates,
    decimals, paths) is converted by `str`. Characters that a path cannot have are percent-encoded.

    Raises:
        ValueError: The text has NUL or a lone surrogate, which PostgreSQL cannot store, or the
            segment has more than 255 bytes, which no directory name can have.
    """
    if value is None:
        return NULL_SENTINEL
    text = _written(value)
    if not is_text(text):
        raise ValueError(f"{text!r} is not a text that a catalog can store")
    plain = "".join(c if c.isalnum() else quote(c, safe=_PLAIN) for c in text)
    segment = _CODED.get(text, plain)
    if len(segment.encode()) > 255:  # noqa: PLR2004  # NAME_MAX of Linux
        raise ValueError(f"a value of {len(text)} characters is too long for a path segment")
    return segment


def value_from(segment: str) -> str | None:
    """Return the value of a path segment: None for the NULL sentinel, else the decoded text."""
    if segment == NULL_SENTINEL:
        return None
    return "" if segment == _CODED[""] else unquote(segment, errors="surrogateescape")


def check(column: Column, value: Any) -> Any:
    """Return *value* as JSON for *column*; raise ValueError with the reason if it is invalid."""
    if value is None:
        if not column.nullable and not column.has_default:
            raise ValueError(f"column {column.name} must have a value")
        return None
    try:
        return _READERS.get(column.type, _sendable)(value)
    except _OffsetError:
        raise ValueError(
            f"{_shown(value)} has a UTC offset, which column {column.name} ({column.type}) cannot "
            "keep: the server would drop it, not apply it"
        ) from None
    except _WRONG:
        raise ValueError(
            f"{_shown(value)} is not a valid {column.type} for column {column.name}"
        ) from None


def same(column: Column, one: Any, other: Any) -> bool:
    """Return True if two values of *column* mean the same, however they are written."""
    if one is None or other is None:
        return one is other
    try:
        if column.type == "timestamptz":
            return _same_moment(one, other)
        meaning = _MEANINGS.get(column.type, _sendable)
        one, other = meaning(one), meaning(other)
        if isinstance(one, str) and isinstance(other, str):
            return composed(one) == composed(other)
        return bool(one == other)
    except _WRONG:
        return bool(one == other)


def meaning(column: Column, value: Any) -> Hashable:
    """Return the same key for all ways to write a *value* of *column*."""
    if value is None:
        return None
    try:
        if column.type == "timestamptz":  # without a zone: in that of the server, UTC
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        found = _MEANINGS.get(column.type, _sendable)(value)
    except _WRONG:
        found = value
    return json.dumps(found, sort_keys=True) if isinstance(found, (list, dict)) else found


def is_text(text: str) -> bool:
    """Return True if PostgreSQL can store *text*: no NUL, no lone surrogate."""
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, _JSON_TYPES) else str(value)


def _text(value: Any) -> str:
    text = _written(value)
    if not is_text(text):
        raise ValueError
    return text


def _integer(bits: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise OverflowError
        return value

    return read


def _double(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    exact = Decimal(str(value))
    number = float(exact)
    if exact.is_finite() and math.isinf(number):
        raise OverflowError
    return number


def _single(value: Any) -> float:
    return float(struct.unpack("<f", struct.pack("<f", _double(value)))[0])


def _named(number: float) -> float | str:
    """Return *number*, or the name that PostgreSQL has for what JSON cannot write."""
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _number(meaning: Callable[[Any], float]) -> Callable[[Any], float | str]:
    def read(value: Any) -> float | str:
        meaning(value)  # it fits
        return _named(value if isinstance(value, (int, float)) else _double(value))

    return read


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return _TRUTHS[str(value).strip().lower()]


def _date(value: Any) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError
    date.fromisoformat(value)
    return str(value)


def _timestamp(value: Any) -> str:
    """Read a time without an offset. "Z" and +00:00 pass: dropped, they still mean UTC."""
    if datetime.fromisoformat(value).utcoffset():
        raise _OffsetError
    return str(value)


def _instant(value: Any) -> str:
    datetime.fromisoformat(value)
    return str(value)


def _clock(value: Any) -> str:
    time.fromisoformat(value)
    return str(value)


def _same_moment(one: str, other: str) -> bool:
    """Compare two timestamptz: without a zone it is read, and written, in the session's."""
    a, b = datetime.fromisoformat(one), datetime.fromisoformat(other)
    if a.tzinfo is None or b.tzinfo is None:
        a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
    return a == b


def _document(value: Any) -> Any:
    return _sendable(read_json(value) if isinstance(value, str) else value)


def _sendable(value: Any) -> Any:
    """Return *value* if it can stand in the body of a request, be its type what it may."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not is_text(value if isinstance(value, str) else text):
        raise ValueError
    return value


def _keyed(reader: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def read(value: Any) -> bool:
        try:
            return reader(value)
        except KeyError:
            raise ValueError from None

    return read


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(TEXT_TYPES, _text),
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64),
    "float4": _number(_single),
    "float8": _number(_double),
    "boolean": _keyed(_boolean),
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _instant,
    "time": _clock,
    **dict.fromkeys(("json", "jsonb"), _document),
}

_MEANINGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **_READERS,
    "float4": lambda value: _named(_single(value)),
    "float8": lambda value: _named(_double(value)),
    "timestamp": lambda value: datetime.fromisoformat(value).replace(tzinfo=None),
    "time": time.fromisoformat,
}
