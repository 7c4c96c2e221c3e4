"""Converts values between JSON, CSV, URLs and SQLite, with the types of PostgreSQL."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, Self

import orjson

from deriva_watch.sandbox.ermrest import moments
from deriva_watch.sandbox.ermrest.model import Column

Stored = str | int | float | None

INTEGER_BITS: Final = {"int2": 16, "int4": 32, "int8": 64, "serial4": 32, "serial8": 64}
TRUE_WORDS: Final = {"t", "true", "y", "yes", "on", "1"}
FALSE_WORDS: Final = {"f", "false", "n", "no", "off", "0"}


class Literal(float):
    """A number with a fraction or an exponent, with the text that it was sent as."""

    def __new__(cls, text: str) -> Self:
        """Read *text*."""
        self = super().__new__(cls, text)
        self.text = text
        return self

    text: str


class CastError(ValueError):
    """A text that is not a value of the column's type, with the message of PostgreSQL."""

    def __init__(self, typename: str, text: str) -> None:
        names = {"int2": "smallint", "int4": "integer", "int8": "bigint"}
        super().__init__(f'invalid input syntax for type {names.get(typename, typename)}: "{text}"')


def _integer(typename: str) -> Callable[[str], int]:
    limit = 1 << INTEGER_BITS[typename] - 1

    def cast(text: str) -> int:
        if not re.fullmatch(r"\s*[-+]?\d+\s*", text):
            raise ValueError
        number = int(text)
        if not -limit <= number < limit:
            raise ValueError
        return number

    return cast


def _boolean(text: str) -> int:
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError
    return int(word in TRUE_WORDS)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number) and text.strip().lstrip("+-").lower() not in {"inf", "infinity"}:
        raise ValueError  # out of range
    return number


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError
    text.encode()  # no half of a surrogate pair
    return text


def _json(text: str) -> str:
    return orjson.dumps(orjson.loads(text)).decode()


CASTS: Final[dict[str, Callable[[str], str | int | float]]] = {
    **{typename: _integer(typename) for typename in INTEGER_BITS},
    **dict.fromkeys(("float4", "float8", "numeric"), _number),
    **dict.fromkeys(("json", "jsonb"), _json),
    "boolean": _boolean,
    "date": moments.day,
    "timestamp": moments.local,
    "timestamptz": moments.instant,
}


def is_date(column: Column) -> bool:
    """Return whether *column* is a date or a time."""
    return column.type in {"date", "timestamp", "timestamptz"}


def from_text(column: Column, text: str) -> Stored:
    """Cast *text*, from a CSV field or a URL, to the column's type.

    Raises:
        CastError: It cannot be cast.
    """
    try:
        if column.is_array:
            return _array(column, _array_items(text))
        return CASTS.get(column.type, _text)(text)
    except (ValueError, OverflowError):
        raise CastError(column.type, text) from None


def from_json(column: Column, value: Any) -> Stored:
    """Cast a parsed JSON *value* to the column's type: scalars by way of their text.

    Raises:
        CastError: It cannot be cast.
    """
    if value is None:
        return None
    if column.is_array:
        if not isinstance(value, list):
            raise CastError("array", str(value))
        return _array(column, value)
    try:
        if column.type in {"json", "jsonb"}:
            return _dumped(value)
        return from_text(column, _as_text(value))
    except ValueError:
        raise CastError(column.type, repr(value)) from None


def _dumped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()
    return text


def to_json(column: Column, stored: Stored) -> Any:
    """Return a stored value as JSON shows it."""
    if stored is None:
        return None
    if column.type == "boolean" and not column.is_array:
        return bool(stored)
    if column.is_array or column.type in {"json", "jsonb"}:
        return orjson.loads(str(stored))
    return stored


def _as_text(value: Any) -> str:
    if isinstance(value, Literal):
        return value.text
    return value if isinstance(value, str) else _dumped(value)


def _array(column: Column, items: list[Any]) -> str:
    cast = CASTS.get(column.type, _text)
    return orjson.dumps([None if item is None else cast(_as_text(item)) for item in items]).decode()


def _array_items(text: str) -> list[Any]:
    """Read a JSON list, or PostgreSQL's own notation without escapes: ``{a,b}``."""
    if text.startswith("{") and text.endswith("}"):
        return [item.strip('"') for item in text[1:-1].split(",")] if text[1:-1] else []
    items = orjson.loads(text)
    return items if isinstance(items, list) else [items]
