"""The log: one line an event, written at once, without secrets.

Events of our own and records of the libraries (`library.message`) take the same way to the same
stream. A log that cannot be written never stops the work: the journal, not the log, is the memory.
"""

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, BinaryIO, Final
from urllib.parse import quote, quote_plus

import orjson
import structlog

from deriva_watch.core.events import Event

Emit = Callable[[Event], None]
Secrets = Callable[[], Collection[str]]

LIBRARY_EVENT: Final = "library.message"  # fields: library, message, traceback

_HIDDEN: Final = "***"
_KEYS: Final = r"bearer[-_]token|(?:set-)?cookie|(?:proxy-)?authorization"
_KEY: Final = re.compile(_KEYS, re.IGNORECASE)
_KEY_IN_TEXT: Final = re.compile(  # the same keys in a sentence, a repr or a header
    rf"""((?:{_KEYS})["'\\]*\s*[:=]\s*["'\\]*(?:bearer\s+)?)[^\s"',;}}]+(?:;\s*[^\s"',;}}]+)*""",
    re.IGNORECASE,
)
_JSON_INT_BITS: Final = 64
_SHORTEST_SECRET: Final = 6  # a shorter one would tear holes into words


def configure(
    level: str = "info",
    format: str = "json",  # noqa: A002 (as the setting is called)
    secrets: Secrets = tuple,
    stream: BinaryIO | None = None,
) -> Emit:
    """Send the log to *stream* and return what writes an event.

    The libraries' records come from `warning` up, whatever *level* says below that: DEBUG of
    deriva prints whole metadata rows and stays off. Do not emit from a signal handler.

    Args:
        level: The lowest level that is written: debug, info, warning or error.
        format: "json" for machines, "console" for a terminal.
        secrets: Asked at every event, because credentials change while the daemon runs.
        stream: Where to, or None for standard error.
    """
    logger = structlog.wrap_logger(
        _Lines(stream or _stderr()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True, key="time"),
            lambda _logger, _method, event: _plain(event, _pattern_of(frozenset(secrets()))),
            _console_line if format == "console" else _json_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()
    _take_library_records(logger, level)

    def emit(event: Event) -> None:
        getattr(logger, event.level)(event.name, **event.values())

    return emit


def _stderr() -> BinaryIO | None:
    """Return standard error without a buffer: a line that cannot be written is not kept.

    Where it was closed before the start, descriptor 2 may by now be any file, so nothing is
    written at all.
    """
    if sys.stderr is None:
        return None
    try:
        return open(sys.stderr.fileno(), "wb", buffering=0, closefd=False)
    except OSError:  # no descriptor: a test or a notebook took its place
        return sys.stderr.buffer


class _Lines:
    """Writes one line a call, from any thread.

    structlog's BytesLogger would raise when the stream breaks, and its lock would stop a thread
    for ever if a warning came up, through garbage collection, while that thread writes.
    """

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self._lock = threading.RLock()

    def write(self, line: bytes) -> None:
        if self._stream is not None:
            with self._lock, suppress(OSError, ValueError):  # ValueError: closed
                self._stream.write(line + b"\n")
                self._stream.flush()

    debug = info = warning = error = write


def _plain(value: Any, secret: re.Pattern[str]) -> Any:
    """Return *value* as JSON can say it, without the secrets."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if value.bit_length() < _JSON_INT_BITS else str(value)
        case Mapping():
            plain = {_text(str(key), secret): _plain(below, secret) for key, below in value.items()}
            return {key: _HIDDEN if _KEY.fullmatch(key) else plain[key] for key in plain}
        case list() | tuple() | set() | frozenset():
            return [_plain(one, secret) for one in value]
        case bytes():
            return _text(value.decode(errors="surrogateescape"), secret)
        case _:
            return _text(str(value), secret)


def _text(text: str, secret: re.Pattern[str]) -> str:
    return _KEY_IN_TEXT.sub(rf"\1{_HIDDEN}", secret.sub(_HIDDEN, _encodable(text)))


@lru_cache(maxsize=1)
def _pattern_of(secrets: frozenset[str]) -> re.Pattern[str]:
    """Return what finds the secrets as they are and as they stand in URLs, longest first."""
    worth = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    forms = {
        form(secret)
        for secret in worth
        for form in (str, quote, quote_plus, partial(quote, safe=""))
    }
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


def _encodable(text: str) -> str:
    r"""Return *text* with bytes of a file name that are not UTF-8 written as \xff."""
    try:
        raw = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair, from another program's JSON
        raw = text.encode(errors="backslashreplace")
    return raw.decode(errors="backslashreplace")


def _json_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    head = {key: event.pop(key) for key in ("event", "level", "time")}
    return orjson.dumps(head | dict(event))


def _console_line(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    name, level, time = event.pop("event"), event.pop("level"), event.pop("time")
    trace = event.pop("traceback", "").splitlines()
    fields = " ".join(f"{key}={_shown(value)}" for key, value in event.items())
    first = f"{time[:19].replace('T', ' ')}Z {level:<7} {name}  {fields}"
    return "\n".join([first, *map(_visible, trace)]).encode()


def _shown(value: Any) -> str:
    bare = isinstance(value, str) and value and " " not in value
    return _visible(value if bare else json.dumps(value, ensure_ascii=False))


def _visible(text: str) -> str:
    """Return *text* unable to steer a terminal: a file name may hold any byte."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


class _LibraryRecords(logging.Handler):
    """Writes what libraries say through `logging` as events."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 (a library's wrong format must not stop our thread)
            message = f"{record.msg} {record.args}"
        fields = {"library": record.name, "message": message}
        if record.exc_info:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(self._logger, level)(LIBRARY_EVENT, **fields)


def _take_library_records(logger: Any, level: str) -> None:
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _LibraryRecords)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryRecords(logger))
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.captureWarnings(capture=True)
