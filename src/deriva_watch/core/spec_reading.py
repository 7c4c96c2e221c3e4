"""A bulk spec read from its document, with everything in it that cannot be understood.

Nothing here asks what a catalog has: see `spec_check` for that.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from string import Formatter
from typing import Any, Final

from deriva_watch.core.mapping import (
    BAG_PROCESSOR,
    AssetMapping,
    General,
    ObjectOptions,
    Processor,
)
from deriva_watch.core.names import NUMBERS, RESERVED

_TRUE: Final = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE: Final = frozenset({"n", "no", "f", "false", "off", "0"})
# Digests that Python always has and that have one length.
_CHECKSUMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_WIDEST: Final = 999  # of a field in a template: more would only fill the memory
_Reader = Callable[[Any, str], Any]


class _WrongError(ValueError):
    """A value that cannot be used, with its place."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")


def fields(template: str) -> list[str]:
    """Return the names that *template* has in braces; ValueError where it is no template."""
    found = []
    for _, name, width, _ in Formatter().parse(template):
        if name is None:
            continue
        if not re.fullmatch(r"[^.\[\]{}]+", name) or name.isdigit():
            raise ValueError(f"{{{name}}} is no plain name")
        if width and ("{" in width or any(int(n) > _WIDEST for n in re.findall(r"\d+", width))):
            raise ValueError(f"the width in {{{name}:{width}}} cannot be used")
        found.append(name)
    return found


def near(word: str, known: Iterable[str]) -> str:
    """Return a question that names what *word* may have been meant to be, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def read(document: Any) -> tuple[General, list[AssetMapping], list[str]]:
    """Return what *document* says, and what is wrong with it, each with its place."""
    problems: list[str] = []
    said = _object(document, _GENERAL, "", problems)
    mappings = [
        mapping
        for number, entry in enumerate(said.get("asset_mappings", ()))
        if (mapping := _mapping(number, entry, said, problems))
    ]
    if "asset_mappings" not in said and not any("asset_mappings" in p for p in problems):
        problems.append('it has no list "asset_mappings"')
    return _general(said), mappings, problems


def _general(said: Mapping[str, Any]) -> General:
    return General(
        strict_update=said.get("strict_update_check", True),
        relative_paths=said.get("relative_path_validation", False),
        by_extension=said.get("file_ext_mappings", {}),
        mime_types=said.get("mime_overrides", {}),
        versions=said.get("version_compatibility", ()),
    )


def _mapping(
    number: int, entry: Any, said: Mapping[str, Any], problems: list[str]
) -> AssetMapping | None:
    before = len(problems)
    own = _object(entry, _MAPPING, f"asset_mappings[{number}]", problems)
    if len(problems) > before:
        return None
    pre = own.get("pre_processors", ())
    templates, options = own.get("hatrac_templates", {}), own.get("hatrac_options", {})
    mapping = AssetMapping(
        number=number,
        asset_type=own.get("asset_type", "file"),
        dir_pattern=own.get("dir_pattern"),
        ext_pattern=own.get("ext_pattern"),
        file_pattern=own.get("file_pattern"),
        target=own.get("target_table"),
        column_map=own.get("column_map", {}),
        object_name=templates.get("hatrac_uri"),
        disposition=templates.get("content-disposition"),
        options=_options(options),
        column_value_templates=own.get("column_value_templates", {}),
        metadata_queries=own.get("metadata_query_templates", ()),
        record_query=own.get("record_query_template") or None,
        record_update=own.get("record_update_template") or None,
        require_record_update=own.get("require_record_update_template", False),
        empty_on_update=frozenset(own.get("allow_empty_columns_on_update", ())),
        create_record_first=own.get("create_record_before_upload", False),
        checksums=own.get("checksum_types", ("md5", "sha256")),
        safe_overrides=own.get("url_encoding_safe_overrides", {}),
        default_columns=own.get("default_columns", ()),
        pre_processors=pre,
        post_processors=own.get("post_processors", ()),
        archive=own.get("archive_preprocessing_enabled", False)
        or any(processor.built_in == BAG_PROCESSOR for processor in pre),
        general=_general(said),
        entry=entry,
    )
    problems += _contradictions(mapping)
    return mapping


def _options(said: Mapping[str, Any]) -> ObjectOptions:
    versioned = said.get("versioned_urls", said.get("versioned_uris", True))
    pattern = said.get("sanitize_filenames_pattern")
    return ObjectOptions(
        chunk_bytes=said.get("chunk_size"),
        create_parents=said.get("create_parents", True),
        allow_versioning=said.get("allow_versioning", True),
        force=said.get("force", False),
        versioned=versioned,
        sanitize=said.get("sanitize_filenames", True),
        **({"sanitize_pattern": pattern.pattern} if pattern and pattern.pattern else {}),
    )


def _contradictions(mapping: AssetMapping) -> Iterable[str]:
    """Say what in a mapping cannot go together."""
    place = f"asset_mappings[{mapping.number}]"
    if mapping.target:
        for name in (name for part in mapping.target for name in fields(part)):
            if name not in mapping.names:
                what = f"{place}.target_table: no group of its patterns is called {name!r}"
                yield what + near(name, mapping.names)
    elif not {"schema", "table"} <= {name.lower() for name in mapping.names}:
        yield f"{place}: it needs a target_table, or groups called schema and table"
    if mapping.archive and (mapping.ext_pattern or mapping.file_pattern):
        yield f"{place}: a directory that becomes a bag is found by dir_pattern alone"
    if mapping.archive and mapping.asset_type != "file":
        yield f"{place}: rows of a table cannot be put into a bag"
    if mapping.archive and not any(p.built_in == BAG_PROCESSOR for p in mapping.pre_processors):
        yield f"{place}: archive_preprocessing_enabled needs a BagArchiveProcessor"


# ---------------------------------------------------------------------- keys and their values


def _object(
    value: Any, keys: Mapping[str, _Reader], place: str, problems: list[str]
) -> dict[str, Any]:
    """Return the known keys of an object with their values read; note what is wrong."""
    if not isinstance(value, Mapping):
        problems.append(f"{place or 'it'}: must be an object" + ("" if place else _LIST))
        return {}
    said = {}
    for key, each in value.items():
        where = f"{place}.{key}" if place else str(key)
        if key not in keys:
            problems.append(f"{where}: unknown key{near(str(key), keys)}")
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
        said = _object(value, keys, place, problems)
        if problems:
            raise _ManyError(problems)
        return said

    return read_part


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _WrongError(place, "must be a text")
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
        raise _WrongError(place, f"{text!r} is no template: {error}") from None
    if not any(_fits(text, names, other) for other in ("", 0)):
        raise _WrongError(place, f"{text!r} is no template: a text cannot be written as a number")
    return text


def _fits(text: str, names: Iterable[str], other: Any) -> bool:
    """Tell whether *text* can be filled; names whose type nobody knows yet stand for *other*."""
    known = {n: 0 if n in NUMBERS else "" if n in RESERVED else other for n in names}
    try:
        text.format_map(known)
    except (ValueError, TypeError):
        return False
    return True


def _pattern(flags: int = 0) -> _Reader:
    def read_pattern(value: Any, place: str) -> re.Pattern[str] | None:
        text = _text(value, place)
        try:
            return re.compile(text, flags) if text else None
        except (re.error, RecursionError, OverflowError) as error:
            raise _WrongError(place, f"the pattern does not compile: {error}") from None

    return read_pattern


def _count(value: Any, place: str) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and value.isdigit() else value
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
        raise _WrongError(place, f"{text!r} compares no version")
    return text


def _extension(value: Any, place: str) -> str:
    text = _text(value, place)
    return text if text.startswith(".") else f".{text}"


_MAPPING: Final[Mapping[str, _Reader]] = {
    "asset_type": _one_of("file", "table"),
    "dir_pattern": _pattern(),
    "ext_pattern": _pattern(re.IGNORECASE),
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
_GENERAL: Final[Mapping[str, _Reader]] = {
    "asset_mappings": _list_of(_anything),
    "version_compatibility": _list_of(_list_of(_version)),
    "version_update_url": _text,
    "relative_path_validation": _flag,
    "strict_update_check": _flag,
    "file_ext_mappings": _map_of(_map_of(_anything)),
    "mime_overrides": _map_of(_list_of(_extension)),
    "upload_processor_whitelist": _list_of(_text),  # not asked: [spec] allowed_processors is
}
