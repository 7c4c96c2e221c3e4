"""Values of metadata columns: in a path segment, in a row, and compared with a row.

A column's typename decides what a text means; what cannot be a value of it is refused here, with
a sentence, before anything is sent: one bad row would refuse its whole batch.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote, unquote

from deriva_watch.core.model import Column

NULL_SENTINEL: Final = "__NULL__"

# What may stand in a segment as it is: the characters of the original patterns, so that ordinary
# values read as themselves. "%" always goes, so that decoding has one meaning.
_PLAIN: Final = " :"
_JSON_TYPES: Final = (bool, int, float, list, dict)


def segment_from(value: Any) -> str:
    """Return the path segment that stands for *value*; None becomes the NULL sentinel.

    Texts stand for themselves, numbers, truth values, lists and objects as JSON, anything else
    (dates, decimals, paths) as `str` writes it.

    Raises:
        ValueError: "", "." and ".." cannot be a directory, nor can more than 255 bytes; the
            sentinel itself would come back as NULL; NUL and lone surrogates are no text.
    """
    if value is None:
        return NULL_SENTINEL
    text = _written(value)
    if text in {"", ".", "..", NULL_SENTINEL} or not _is_text(text):
        raise ValueError(f"{text!r} cannot stand in a path")
    segment = "".join(c if c.isalnum() else quote(c, safe=_PLAIN) for c in text)
    if len(segment.encode()) > 255:  # noqa: PLR2004  # NAME_MAX of Linux
        raise ValueError(f"a value of {len(text)} characters is too long for a path segment")
    return segment


def value_from(segment: str) -> str | None:
    """Return what a path segment says: None for the NULL sentinel, else the decoded text."""
    return None if segment == NULL_SENTINEL else unquote(segment, errors="surrogateescape")


def check(column: Column, value: Any) -> Any:
    """Return *value* as JSON for *column*, or raise ValueError with what is wrong with it."""
    if value is None:
        if not column.nullable and not column.has_default:
            raise ValueError(f"column {column.name} must have a value")
        return None
    reader = _READERS.get(column.type)
    if reader is None:
        return value
    try:
        return reader(value)
    except (ValueError, TypeError, InvalidOperation):
        raise ValueError(f"{value!r} is no {column.type} for column {column.name}") from None


def same(column: Column, one: Any, other: Any) -> bool:
    """Tell whether two values of *column* mean the same, however they are written."""
    if one is None or other is None:
        return one is other
    key = _MEANINGS.get(column.type, lambda value: value)
    try:
        return bool(key(one) == key(other))
    except (ValueError, TypeError, InvalidOperation):
        return bool(one == other)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, _JSON_TYPES) else str(value)


def _is_text(text: str) -> bool:
    """Tell whether PostgreSQL can store *text*: no NUL, nothing but Unicode characters."""
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def _text(value: Any) -> str:
    text = _written(value)
    if not _is_text(text):
        raise ValueError
    return text


def _integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError
    float(Decimal(str(value)))
    return value if isinstance(value, (int, float)) else float(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "t": True, "false": False, "f": False}[str(value).lower()]


def _date(value: Any) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError
    date.fromisoformat(value)
    return str(value)


def _timestamp(value: Any) -> str:
    datetime.fromisoformat(value)
    return str(value)


def _clock(value: Any) -> str:
    time.fromisoformat(value)
    return str(value)


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _keyed(reader: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def read(value: Any) -> bool:
        try:
            return reader(value)
        except KeyError:
            raise ValueError from None

    return read


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("text", "longtext", "markdown", "ermrest_uri", "ermrest_curie"), _text),
    **dict.fromkeys(("int2", "int4", "int8"), _integer),
    **dict.fromkeys(("float4", "float8"), _number),
    "boolean": _keyed(_boolean),
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamp,
    "time": _clock,
    **dict.fromkeys(("json", "jsonb"), _document),
}

_MEANINGS: Final[Mapping[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8"), lambda v: Decimal(str(v))),
    "boolean": _keyed(_boolean),
    "timestamp": lambda value: datetime.fromisoformat(value).replace(tzinfo=None),
    "timestamptz": lambda value: datetime.fromisoformat(value).astimezone(),
    "time": time.fromisoformat,
    **dict.fromkeys(("json", "jsonb"), _document),
}
