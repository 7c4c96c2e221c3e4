"""Where each setting comes from, and the messages about wrong ones.

Every message names the place to correct: `file:line`, the name of the variable, or "command line".
Values are never shown: one may be a secret in the wrong place.
"""

import difflib
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ByteSize, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from deriva_watch.core.errors import SettingsError
from deriva_watch.core.os_errors import reason

PREFIX: Final = "DERIVA_WATCH_"
_CONFIG_VARIABLE: Final = "DERIVA_WATCH_CONFIG"
_CONFIG_FILES: Final = (
    "deriva-watch.toml",
    "~/.config/deriva-watch/config.toml",
    "/etc/deriva-watch/config.toml",
)
_TABLE: Final = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"\s*([\w\"'.\s-]+?)\s*=")
_TEXT: Final = "must be text in quotes"
_SIZE: Final = 'must be a size such as "25MiB"'
_MUST: Final = {  # where pydantic's own message uses terms of Python
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "byte_size": _SIZE,
    "byte_size_unit": _SIZE,
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "model_type": "must be a table",
    "path_type": _TEXT,
    "string_type": _TEXT,
    "tuple_type": 'must be a list such as ["a", "b"]',
}

Place = tuple[str | int, ...]  # ("server", "host"), ("watch", 0, "prefix")


def find_config() -> Path | None:
    """Return the configuration file that is used by default; None if there is none."""
    if named := os.environ.get(_CONFIG_VARIABLE):
        return Path(named)
    files = (Path(os.path.expanduser(name)) for name in _CONFIG_FILES)  # noqa: PTH111 (never raises)
    return next((file for file in files if file.exists()), None)


def no_config() -> SettingsError:
    """Return the error for a missing configuration."""
    return SettingsError(
        "no configuration found",
        f"there is none of {', '.join(_CONFIG_FILES)}",
        "Run `deriva-watch init`, which asks some questions and writes one; or name a file "
        f"with --config FILE or ${_CONFIG_VARIABLE}.",
    )


class Origins:
    """Knows where each value comes from: the file, the environment or the flags.

    Args:
        file: A TOML file, or None; SettingsError if it cannot be read or is not TOML.
        flags: Nested values from the command line; None and {} count as not given.
    """

    def __init__(self, file: Path | None, flags: Mapping[str, Any]) -> None:
        self.file: dict[str, Any] = {}
        self.flags: dict[str, Any] = {}
        self._origins: dict[Place, str] = {(): str(file) if file else "environment"}
        self._variables = {
            name: tuple(name.removeprefix(PREFIX).lower().split("__"))
            for name, text in os.environ.items()
            if name.startswith(PREFIX) and name != _CONFIG_VARIABLE and text
        }
        if file is not None:
            text = _read(file)
            self.file = _parse(file, text)
            self._origins |= {place: f"{file}:{line}" for place, line in _lines(text).items()}
        for name, place in self._variables.items():
            self._put(place, name)
        for place, value in _leaves(flags):
            if value is not None and value != {}:
                self._put(place, "command line")
                self._give(place, value)

    def name(self, *place: str | int) -> str | None:
        """Return where the value at *place*, or one inside it, comes from; None: from nowhere."""
        inside = [at for at in self._origins if at and at[: len(place)] == place]
        return self._origins[min(inside, key=len)] if inside else None

    def unknown_variables(self, model: type[BaseModel]) -> list[str]:
        """Return a message for each variable of an unknown section, which pydantic ignores."""
        return [
            f"{name}: unknown key '{place[0]}', nothing reads it; {_meant(place[0], model, model)}"
            for name, place in self._variables.items()
            if place[0] not in model.model_fields
        ]

    def unreadable(self, error: Exception) -> str:
        """Return the message for a variable that should contain JSON but does not."""
        section = str(error).partition('"')[2].partition('"')[0]
        names = [n for n, at in self._variables.items() if at == (section,)] or [f"{PREFIX}…"]
        return f"{names[0]}: is not valid JSON, which a table or list needs; correct its value"

    def problems_of(self, error: ValidationError, model: type[BaseModel]) -> list[str]:
        """Return a message for each error: where, what, why, what next."""
        return [
            f"{self._nearest(found['loc'])}: {_sentence(found, model)}"
            for found in error.errors(include_url=False, include_context=False, include_input=False)
        ]

    def _nearest(self, place: Place) -> str:
        """Return where *place*, or else the table around it, comes from."""
        if not place:
            return self._origins[()]
        return self.name(*place) or self._nearest(place[:-1])

    def _put(self, place: Place, origin: str) -> None:
        for old in [old for old in self._origins if old[: len(place)] == place]:
            del self._origins[old]
        self._origins[place] = origin

    def _give(self, place: tuple[str, ...], value: Any) -> None:
        table = self.flags
        for name in place[:-1]:
            table = table.setdefault(name, {})
        table[place[-1]] = value


def _leaves(tree: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the values in a nested table; a list or an empty table is one value."""
    if isinstance(tree, Mapping) and (tree or not place):
        for name, below in tree.items():
            yield from _leaves(below, (*place, name))
    else:
        yield place, tree


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        why, then = reason(error), "Correct the path or its permissions"
    except UnicodeDecodeError as error:
        why, then = f"byte {error.start} is not UTF-8", "Save it as UTF-8"
    raise SettingsError(f"{file}: cannot be read", why, f"{then}.")


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why, _, place = str(error).partition(" (at ")
        line, column = re.findall(r"\d+", place) or _end(text)
        what = f"{file}:{line}:{column}: is not TOML"
        raise SettingsError(what, why, "Correct that line.") from None


def _end(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1


def _lines(text: str) -> dict[Place, int]:
    """Return the line number of each table and key, for messages."""
    found: dict[Place, int] = {}
    counts: Counter[Place] = Counter()
    table: Place = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _TABLE.match(line):
            table = _names(header[2])
            if header[1] == "[[":
                found.setdefault(table, number)
                counts[table] += 1
                table = (*table, counts[table] - 1)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_names(key[1])), number)
    return found


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip(" \t\"'") for name in dotted.split("."))


def _sentence(found: ErrorDetails, model: type[BaseModel]) -> str:
    *sections, name = [part for part in found["loc"] if isinstance(part, str)]
    key = ".".join((*sections, name))
    owner = _model_at(sections, model)
    if found["type"] == "extra_forbidden":
        return f"unknown key '{key}', nothing reads it; {_meant(name, owner, model)}"
    if found["type"] == "missing":
        return f"'{key}' is missing and has no default; config.example.toml shows where it goes"
    field = owner.model_fields[name]
    said = found["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if found["type"] == "value_error":  # our own message, which is complete
        return f"'{key}' {said}"
    return f"'{key}' {_MUST.get(found['type'], said)}; {_example(name, field)}"


def _model_at(sections: list[str], model: type[BaseModel]) -> type[BaseModel]:
    for section in sections:
        model = _inner(model.model_fields[section])
    return model


def _inner(field: FieldInfo) -> Any:
    """Return the model of a section, also of one that is a list."""
    return next(iter(get_args(field.annotation)), field.annotation)


def _meant(name: str, owner: type[BaseModel], root: type[BaseModel]) -> str:
    known = list(owner.model_fields)
    if near := difflib.get_close_matches(name, known, n=1):
        return f"did you mean '{near[0]}'?"
    if found := [
        f"[{section}]"
        for section, field in root.model_fields.items()
        if name in getattr(_inner(field), "model_fields", {})
    ]:
        return f"it belongs in {' or '.join(found)}"
    return f"known are {', '.join(known)}" if known else "remove it"


def _example(name: str, field: FieldInfo) -> str:
    if field.is_required() or field.default is None or field.default_factory:
        return "config.example.toml explains it"
    if isinstance(field.default, BaseModel):
        return f"its keys go below [{name}]"
    size = field.default.human_readable() if isinstance(field.default, ByteSize) else None
    return f"for example {name} = {json.dumps(size or field.default)}"
