"""Values on their way between JSON, CSV, URLs and SQLite, typed as in PostgreSQL."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from deriva_watch.sandbox.ermrest.model import Column

Stored = str | int | float | None

INTEGER_BITS: Final = {"int2": 16, "int4": 32, "int8": 64, "serial4": 32, "serial8": 64}
TRUE_WORDS: Final = {"t", "true", "y", "yes", "on", "1"}
FALSE_WORDS: Final = {"f", "false", "n", "no", "off", "0"}


class CastError(ValueError):
    """A text that is no value of the column's type; worded as PostgreSQL does."""

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


def _day(text: str) -> str:
    return datetime.fromisoformat(text.strip()).date().isoformat()


def _moment(text: str) -> str:
    return _trimmed(datetime.fromisoformat(text.strip()).replace(tzinfo=None))


def _instant(text: str) -> str:
    moment = datetime.fromisoformat(text.strip())
    return instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError
    return text


def _json(text: str) -> str:
    return orjson.dumps(orjson.loads(text)).decode()


CASTS: Final[dict[str, Callable[[str], str | int | float]]] = {
    **{typename: _integer(typename) for typename in INTEGER_BITS},
    **dict.fromkeys(("float4", "float8", "numeric"), float),
    **dict.fromkeys(("json", "jsonb"), _json),
    "boolean": _boolean,
    "date": _day,
    "timestamp": _moment,
    "timestamptz": _instant,
}


def _trimmed(moment: datetime) -> str:
    text = moment.isoformat()
    return text.rstrip("0") if "." in text else text


def instant(moment: datetime) -> str:
    """Return *moment* as ERMrest shows a timestamptz: in UTC, without trailing zeros."""
    return _trimmed(moment.astimezone(UTC).replace(tzinfo=None)) + "+00:00"


def is_date(column: Column) -> bool:
    """Say whether *column* holds a date or a time."""
    return column.type in {"date", "timestamp", "timestamptz"}


def from_text(column: Column, text: str) -> Stored:
    """Cast *text*, as it stands in a CSV field or a URL, to the column's type.

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
    if column.type in {"json", "jsonb"}:
        return orjson.dumps(value).decode()
    return from_text(column, _as_text(value))


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
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _array(column: Column, items: list[Any]) -> str:
    cast = CASTS.get(column.type, _text)
    return orjson.dumps([None if item is None else cast(_as_text(item)) for item in items]).decode()


def _array_items(text: str) -> list[Any]:
    """Read a JSON list, or PostgreSQL's own notation without escapes: ``{a,b}``."""
    if text.startswith("{") and text.endswith("}"):
        return [item.strip('"') for item in text[1:-1].split(",")] if text[1:-1] else []
    items = orjson.loads(text)
    return items if isinstance(items, list) else [items]
