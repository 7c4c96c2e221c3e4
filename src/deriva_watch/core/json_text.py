"""Reads JSON that others wrote, with limits, and says where something is wrong.

A file may be crafted, cut off, or full of NUL bytes after a power failure. Nothing in it may take
memory without limit, end the process, or be decided by chance, as by a name that occurs twice.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Never

FILE_BYTES: Final = 64 * 1024 * 1024
"""How large a file may be that is read whole."""
_VALUES: Final = 4_000_000  # in one text; an object counts twice
"""They take 320 MB at most: a text of two characters in a list 64 bytes, `{"": 0}` 240."""
_NESTING: Final = 100  # what is read is also written, by recursive writers
_TOO_DEEP: Final = f"it is nested too deeply: more than {_NESTING} levels"
_CONTAINERS: Final = (dict, list)  # as a tuple it takes a quarter of the time of a union
_SHOWN: Final = 80  # characters of a place or a name in a sentence


class JsonError(ValueError):
    """A text that cannot be used; the message says why, and where."""


class Repeated(dict[str, Any]):
    """A JSON object that has some names more than once.

    Attributes:
        names: These names. The object has their last values.
    """

    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Odd:
    """Stands for a number that is not finite, such as NaN or 1e400."""

    text: str


def read_whole(file: BinaryIO, most_bytes: int = FILE_BYTES) -> bytes:
    """Return the content of *file*; JsonError if it has more than *most_bytes*."""
    content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise JsonError(f"it is larger than {most_bytes >> 20} MiB")
    return content


def as_text(content: bytes) -> str:
    """Return *content* as text; JsonError if it is not text, or has NUL bytes."""
    if b"\0" in content:
        raise JsonError(f"it has a NUL byte at byte {content.index(0):,}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8 at byte {error.start:,}") from None


def read_json(content: str | bytes) -> Any:
    """Return the value of a JSON text; JsonError if it cannot be used."""
    found, is_plain = _read(content)
    if not is_plain and (why := repeated_in(found)):
        raise JsonError(why)
    return found


def read_repeated(content: str | bytes) -> Any:
    """Return the value of a JSON text, with `Repeated` for objects that name something twice."""
    return _read(content)[0]


def _read(content: str | bytes) -> tuple[Any, bool]:
    """Return the value, and whether it surely has no `Repeated`."""
    text = as_text(content) if isinstance(content, bytes) else content
    objects, lists = text.count("{"), text.count("[")
    if 2 * objects + lists + text.count(",") > _VALUES:
        raise JsonError(f"it has more than {_VALUES:,} values")
    try:
        found, is_plain = _decoded(text)
    except (JsonError, json.JSONDecodeError) as error:
        raise JsonError(str(error)) from None
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError:  # Python limits the digits of a number
        raise JsonError("it has a number with too many digits") from None
    if objects + lists > _NESTING and _is_too_deep(found):
        raise JsonError(_TOO_DEEP)
    return found, is_plain


def _decoded(text: str) -> tuple[Any, bool]:
    with suppress(_OddError):
        return _STRICT.decode(text), True
    found = _MARKING.decode(text)  # once more, to find the place
    for place, value in _places(found):
        if isinstance(value, _Odd):
            raise JsonError(f"{place} is {value.text[:_SHOWN]}, which is not a finite number")
    return found, False


def repeated_in(value: Any) -> str | None:
    """Return where in *value*, a result of `read_repeated`, something occurs twice; or None."""
    for place, each in _places(value):
        if isinstance(each, Repeated):
            return f"{place} names {min(each.names)[:_SHOWN]!r} twice"
    return None


def _places(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every container and odd number in *value*, with the end of its place.

    All the places on the way are kept, and a name in them may have millions of characters.
    """
    if isinstance(value, dict | list | _Odd):
        yield place or "it", value
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, dict | list | _Odd):
                inner = f"{place}.{name[-_SHOWN:]}" if place else name
                yield from _places(each, inner[-_SHOWN:])
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, dict | list | _Odd):
                yield from _places(each, f"{place}[{number}]"[-_SHOWN:])


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_NESTING):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, _CONTAINERS)
        ]
    return bool(level)


class _OddError(Exception):
    """There is a number that is not finite, or a name that occurs twice."""


def _marked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    marked, names = Repeated(made), Counter(name for name, _ in pairs)
    marked.names = frozenset(name for name, count in names.items() if count > 1)
    return marked


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _OddError
    return made


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise _OddError
    return found


def _no_constant(_text: str) -> Never:
    raise _OddError


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_constant
)
_MARKING: Final = json.JSONDecoder(
    object_pairs_hook=_marked,
    parse_float=lambda text: float(text) if math.isfinite(float(text)) else _Odd(text),
    parse_constant=_Odd,
)
