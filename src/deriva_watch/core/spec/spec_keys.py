"""The keys of a bulk spec, and the readers of their values; every problem names its place."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from string import Formatter
from typing import Any, Final

from deriva_watch.core.names import NUMBERS, RESERVED
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.spec.mapping import Processor

UNKNOWN: Final = "unknown key"
_TRUE: Final = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE: Final = frozenset({"n", "no", "f", "false", "off", "0"})
# Digests that Python always has and that have one length.
_CHECKSUMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_WIDEST: Final = 999  # of a field in a template: more would only fill the memory
_MOST: Final = 10_000  # entries of a list: each mapping takes part of a millisecond, and a file all
_NUMBER: Final = re.compile("[0-9]{1,18}")
_Reader = Callable[[Any, str], Any]


class _WrongError(ValueError):
    """A value that cannot be used, with its place."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")


def fields(template: str) -> list[str]:
    """Return the names in braces in *template*; raise ValueError if it is not a template."""
    found = []
    for _, name, width, _ in Formatter().parse(template):
        if name is None:
            continue
        if not re.fullmatch(r"[^.\[\]{}]+", name) or name.isdigit():
            raise ValueError(f"{{{name}}} is not a plain name")
        if width and ("{" in width or any(int(n) > _WIDEST for n in re.findall(r"\d+", width))):
            raise ValueError(f"the width in {{{name}:{width}}} cannot be used")
        found.append(name)
    return found


def near(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the names similar to *word*, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read_object(
    value: Any, keys: Mapping[str, _Reader], place: str, problems: list[str]
) -> dict[str, Any]:
    """Return the values of the known keys of an object; add what is wrong to *problems*."""
    if not isinstance(value, Mapping):
        problems.append(f"{place or 'it'}: must be an object" + ("" if place else _LIST))
        return {}
    said = {}
    for key, each in value.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in keys:
            problems.append(f"{where}: {UNKNOWN}{near(str(key), keys)}")
            continue
        try:
            said[key] = keys[key](each, where)
        except _WrongError as error:
            problems.append(str(error))
        except _ManyError as error:
            problems += error.args[0]
    return said


_LIST: Final = ' with a list "asset_mappings"'


class _ManyError(Exception):
    """Several problems of one object."""


def _part(keys: Mapping[str, _Reader]) -> _Reader:
    def read_part(value: Any, place: str) -> dict[str, Any]:
        problems: list[str] = []
        said = read_object(value, keys, place, problems)
        if problems:
            raise _ManyError(problems)
        return said

    return read_part


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _WrongError(place, "must be a string")
    return value


def _flag(value: Any, place: str) -> bool:
    word = str(value).lower()
    if word not in _TRUE | _FALSE or not isinstance(value, str | bool | int):
        raise _WrongError(place, "must be true or false")
    return word in _TRUE


def _template(value: Any, place: str) -> str:
    text = _text(value, place)
    try:
        names = fields(text)
    except ValueError as error:
        raise _WrongError(place, f"{text!r} is not a template: {error}") from None
    if not any(_fits(text, names, other) for other in ("", 0)):
        raise _WrongError(
            place, f"{text!r} is not a template: a text cannot be written as a number"
        )
    return text


def _fits(text: str, names: Iterable[str], other: Any) -> bool:
    """Return True if *text* can be filled, with *other* for names of unknown type."""
    known = {n: 0 if n in NUMBERS else "" if n in RESERVED else other for n in names}
    try:
        text.format_map(known)
    except (ValueError, TypeError):
        return False
    return True


def _pattern(*, ignore_case: bool = False) -> _Reader:
    def read_pattern(value: Any, place: str) -> Pattern | None:
        text = _text(value, place)
        try:
            return Pattern(text, ignore_case) if text else None
        except (re.error, RecursionError, OverflowError) as error:
            raise _WrongError(place, f"the pattern does not compile: {error}") from None

    return read_pattern


def _count(value: Any, place: str) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
        raise _WrongError(place, "must be a number of bytes above 0")
    return number


def _one_of(*words: str) -> _Reader:
    def read_word(value: Any, place: str) -> str:
        if value not in words:
            raise _WrongError(place, f"must be {' or '.join(map(repr, words))}")
        return str(value)

    return read_word


def _list_of(reader: _Reader, count: int | None = None) -> _Reader:
    def read_list(value: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
            raise _WrongError(place, f"must be a list{f' of {count}' if count else ''}")
        if len(value) > _MOST:
            raise _WrongError(place, f"has more than {_MOST:,} entries")
        problems: list[str] = []
        found = []
        for number, each in enumerate(value):
            try:
                found.append(reader(each, f"{place}[{number}]"))
            except _WrongError as error:
                problems.append(str(error))
            except _ManyError as error:
                problems += error.args[0]
        if problems:
            raise _ManyError(problems)
        return tuple(found)

    return read_list


def _map_of(reader: _Reader) -> _Reader:
    def read_map(value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _WrongError(place, "must be an object")
        return {str(key): reader(each, f"{place}.{key}") for key, each in value.items()}

    return read_map


def _anything(value: Any, _place: str) -> Any:
    return value


def _processor(value: Any, place: str) -> Processor:
    said = _part(
        {"processor": _text, "processor_type": _text, "processor_params": _params}
    )(value, place)  # fmt: skip
    if "processor" not in said:
        raise _WrongError(place, "has no processor")
    return Processor(
        said["processor"], said.get("processor_type") or None, said.get("processor_params") or {}
    )


def _params(value: Any, place: str) -> Mapping[str, Any]:
    return {} if value is None else dict(_map_of(_anything)(value, place))


def _version(value: Any, place: str) -> str:
    text = _text(value, place)
    if not re.search(r"(>=|<=|>|<|==|!=)\s*\d", text):
        raise _WrongError(place, f"{text!r} is not a version comparison")
    return text


def _extension(value: Any, place: str) -> str:
    text = _text(value, place)
    return text if text.startswith(".") else f".{text}"


MAPPING: Final[Mapping[str, _Reader]] = {
    "asset_type": _one_of("file", "table"),
    "dir_pattern": _pattern(),
    "ext_pattern": _pattern(ignore_case=True),
    "file_pattern": _pattern(),
    "target_table": _list_of(_template, 2),
    "column_map": _map_of(_template),
    "column_value_templates": _map_of(_template),
    "metadata_query_templates": _list_of(_template),
    "record_query_template": _template,
    "record_update_template": _template,
    "require_record_update_template": _flag,
    "allow_empty_columns_on_update": _list_of(_text),
    "create_record_before_upload": _flag,
    "checksum_types": _list_of(_one_of(*_CHECKSUMS)),
    "hatrac_templates": _part({"hatrac_uri": _template, "content-disposition": _template}),
    "hatrac_options": _part(
        {
            "chunk_size": _count,
            "create_parents": _flag,
            "allow_versioning": _flag,
            "force": _flag,
            "versioned_uris": _flag,
            "versioned_urls": _flag,
            "sanitize_filenames": _flag,
            "sanitize_filenames_pattern": _pattern(),
        }
    ),
    "url_encoding_safe_overrides": _map_of(_text),
    "default_columns": _list_of(_text),
    "pre_processors": _list_of(_processor),
    "post_processors": _list_of(_processor),
    "archive_preprocessing_enabled": _flag,
    "use_pre_allocated_rid": _flag,  # deriva-ml's own deriva-py: the RID in the path is kept
}
GENERAL: Final[Mapping[str, _Reader]] = {
    "asset_mappings": _list_of(_anything),
    "version_compatibility": _list_of(_list_of(_version)),
    "version_update_url": _text,
    "relative_path_validation": _flag,
    "strict_update_check": _flag,
    "file_ext_mappings": _map_of(_map_of(_anything)),
    "mime_overrides": _map_of(_list_of(_extension)),
    "upload_processor_whitelist": _list_of(_text),  # not asked: [spec] allowed_processors is
}
