"""The log: one line for each event, written immediately and without secrets.

Our events and the log records of libraries (`library.message`) go to the same stream. A log that
cannot be written never stops the work, because the journal, not the log, is the memory.
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
_TELLING: Final = ("bearer-token", "bearer_token", "cookie", "authorization")
_TOLD: Final = re.compile(  # a value after such a word in a sentence, a repr or a header
    rf"""((?:{"|".join(_TELLING)})["'\\]*\s*[:=]\s*["'\\]*(?:bearer\s+)?)"""
    r"""[^\s"',;}]+(?:;\s*[^\s"',;}]+)*""",
    re.IGNORECASE,
)
_JSON_INT_BITS: Final = 64
_SHORTEST_SECRET: Final = 6  # masking a shorter one would damage other words


def configure(
    level: str = "info",
    format: str = "json",  # noqa: A002 (as the setting is called)
    secrets: Secrets = tuple,
    stream: BinaryIO | None = None,
) -> Emit:
    """Send the log to *stream* and return the function that writes an event.

    Records of libraries are written from `warning` up even if *level* is lower, because deriva's
    DEBUG records contain whole metadata rows. Do not emit from a signal handler.

    Args:
        level: The lowest level that is written: debug, info, warning or error.
        format: "json" for machines, "console" for a terminal.
        secrets: Called for every event, because credentials change while the daemon runs.
        stream: None means standard error.
    """
    logger = structlog.wrap_logger(
        _Lines(stream or _stderr()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True, key="time"),
            _Render(format, secrets),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()
    _take_library_records(logger, level)

    def emit(event: Event) -> None:
        getattr(logger, event.level)(event.name, **event.values())

    return emit


def _stderr() -> BinaryIO | None:
    """Return standard error, unbuffered, so that a line that cannot be written is not kept.

    If it was closed before the start, descriptor 2 can be any file by now, and nothing is written.
    """
    if sys.stderr is None:
        return None
    try:
        return open(sys.stderr.fileno(), "wb", buffering=0, closefd=False)
    except OSError:  # without a descriptor: a test or a notebook has replaced it
        return sys.stderr.buffer


class _Lines:
    """Writes one line for each call, from any thread.

    structlog's BytesLogger would raise if the stream breaks. Its lock could also block a thread
    forever, if garbage collection causes a warning while that thread writes.
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


class _Render:
    """Renders an event as a line, without the secrets."""

    def __init__(self, form: str, secrets: Secrets) -> None:
        self._console = form == "console"
        self._secrets = secrets

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
        forms = _forms_of(frozenset(self._secrets()))
        if self._console:
            return _console_line(_plain(event, forms))
        ordered = {key: event.pop(key) for key in ("event", "level", "time")} | dict(event)
        # Nearly every event has no secret; checking the whole line first is fast.
        with suppress(TypeError):  # a value that JSON cannot represent
            line = orjson.dumps(ordered)
            text = line.decode().lower()
            if not _is_telling(text) and not any(form.lower() in text for form in forms):
                return line
        return orjson.dumps(_plain(ordered, forms))


def _plain(value: Any, secret_forms: tuple[str, ...]) -> Any:
    """Return *value* in types that JSON can represent, without the secrets."""
    match value:
        case None | bool() | float():
            return value
        case int() if value.bit_length() < _JSON_INT_BITS:
            return value
        case Mapping():
            plain = {str(key): _plain(below, secret_forms) for key, below in value.items()}
            return {
                _text(key, secret_forms): _HIDDEN if _is_telling(key.lower()) else plain[key]
                for key in plain
            }
        case list() | tuple() | set() | frozenset():
            return [_plain(one, secret_forms) for one in value]
        case bytes():
            return _text(value.decode(errors="surrogateescape"), secret_forms)
        case _:
            return _text(str(value), secret_forms)


def _text(text: str, secret_forms: tuple[str, ...]) -> str:
    for form in secret_forms:
        text = text.replace(form, _HIDDEN)
    if _is_telling(text.lower()):
        text = _TOLD.sub(rf"\1{_HIDDEN}", text)
    return _encodable(text)


def _is_telling(lower: str) -> bool:
    return any(word in lower for word in _TELLING)


@lru_cache(maxsize=1)
def _forms_of(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return the secrets as they are, and as encoded in URLs and in JSON, longest first."""
    worth = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    quoted = {
        form(secret) for secret in worth for form in (quote, quote_plus, partial(quote, safe=""))
    }
    lower = {re.sub("%..", lambda code: code[0].lower(), form) for form in quoted}
    escaped = {orjson.dumps(secret).decode()[1:-1] for secret in worth}
    return tuple(sorted({*worth, *quoted, *lower, *escaped}, key=len, reverse=True))


def _encodable(text: str) -> str:
    r"""Return *text* with bytes of a file name that are not UTF-8 written as \xff."""
    try:
        raw = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half of a pair, from another program's JSON
        raw = text.encode(errors="backslashreplace")
    return raw.decode(errors="backslashreplace")


def _console_line(event: dict[str, Any]) -> bytes:
    name, level, time = event.pop("event"), event.pop("level"), event.pop("time")
    trace = event.pop("traceback", "").splitlines()
    fields = " ".join(f"{key}={_shown(value)}" for key, value in event.items())
    first = f"{time[:19].replace('T', ' ')}Z {level:<7} {name}  {fields}"
    return "\n".join([first, *map(_visible, trace)]).encode()


def _shown(value: Any) -> str:
    bare = isinstance(value, str) and value and " " not in value
    return _visible(value if bare else json.dumps(value, ensure_ascii=False))


def _visible(text: str) -> str:
    """Return *text* without control characters: a file name may contain any byte."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


class _LibraryRecords(logging.Handler):
    """Writes the `logging` records of libraries as events."""

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
