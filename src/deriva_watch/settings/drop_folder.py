"""`[[drop]]`: the folders that instruments and other programs drop files into."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from deriva_watch.core.completeness.observation import SECRET_FOLDERS
from deriva_watch.core.drop.drop_folder import (
    FILLED,
    TAKEN,
    After,
    Drop,
    DropUnit,
    Lookup,
    NamedWorkflow,
)
from deriva_watch.core.layout import RID, ROOT
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.spec.spec_keys import fields, near
from deriva_watch.settings.types import (
    AbsolutePath,
    Account,
    Observer,
    Seconds,
    Section,
    SomeSeconds,
    home,
)

_CONSTANT: Final = (str, bool, int, float)
_BY_TABLE: Final = frozenset({"table", "column", "value"})
_BY_QUERY: Final = frozenset({"query"})
_LOOKUP: Final = (
    'must be { table = "…", column = "…", value = "{group}" } or { query = "/entity/…" }'
)
_WORKFLOW: Final = 'must be the RID of a Workflow, or { name = "…", version = "…" }'


def _pattern(text: str) -> str:
    try:
        groups = Pattern(text).groups
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        why = f"is not a valid regular expression: {error.msg}{place}; correct it there"
        raise ValueError(why) from None
    except (RecursionError, OverflowError) as error:
        raise ValueError(f"is too large: {error}; make it simpler") from None
    if re.match(r"(\(\?[aimsux]+\))?(\\A|\^)?/", text):
        raise ValueError("must not start with /: it is matched with the path below the folder")
    if odd := [name for name in groups if name in TAKEN or name.startswith(FILLED)]:
        raise ValueError(
            f"has a group named {odd[0]!r}, which is reserved; rename it, and fill a column of "
            'that name with columns = { COLUMN = "{group}" }'
        )
    return text


def _groups_in(template: str, where: str, groups: Iterable[str]) -> None:
    """Refuse an invalid template, or one with a group that the pattern does not have."""
    try:
        names = fields(template)
        template.format_map(dict.fromkeys(names, ""))
    except ValueError as error:
        raise ValueError(
            f"{where} is not a valid template: {error}; double literal braces"
        ) from None
    if unknown := [name for name in names if name not in groups]:
        known = ", ".join(groups) or "none"
        raise ValueError(
            f"{where} uses {unknown[0]!r}, but the pattern has no such group"
            f"{near(unknown[0], groups) or f'; its groups are: {known}'}"
        )


def _lookup(column: str, said: Any, groups: Iterable[str]) -> Lookup:
    if not isinstance(said, Mapping) or not all(isinstance(each, str) for each in said.values()):
        raise ValueError(f"{column} {_LOOKUP}")
    keys = frozenset(said)
    if odd := sorted(keys - _BY_TABLE - _BY_QUERY):
        raise ValueError(f"{column} has an unknown key {odd[0]!r}{near(odd[0], _BY_TABLE)}")
    if keys == _BY_QUERY:
        if not said["query"].startswith(("/entity/", "/attribute/")):
            raise ValueError(f"{column}.query must start with /entity/ or /attribute/")
        _groups_in(said["query"], f"{column}.query", groups)
        return Lookup(query=said["query"])
    if not {"table", "column"} <= keys <= _BY_TABLE:
        raise ValueError(f"{column} {_LOOKUP}")
    found = Lookup(**{"value": f"{{{column}}}", **said})
    _groups_in(found.template, f"{column}.value", groups)
    return found


def _workflow(said: Any) -> str | NamedWorkflow | None:
    if said is None or (isinstance(said, str) and RID.fullmatch(said)):
        return said
    named = isinstance(said, Mapping) and said.keys() == {"name", "version"}
    if named and all(isinstance(each, str) and each for each in said.values()):
        return NamedWorkflow(**said)
    raise ValueError(_WORKFLOW)


class DropFolder(Section):
    """A drop folder."""

    path: AbsolutePath
    table: Annotated[str, Field(min_length=1)]
    pattern: str
    columns: Mapping[str, Any] = {}
    lookup: Mapping[str, Any] = {}
    asset_types: tuple[str, ...] = ()
    unit: DropUnit = "batch"
    batch_s: SomeSeconds = 300
    workflow: Annotated[Any, BeforeValidator(_workflow)] = None
    description: str | None = None
    markers: tuple[str, ...] | None = None
    quiet_s: Seconds | None = None
    after: After = "keep"
    after_delay_s: Seconds = 86400
    read_back: ReadBack | None = None
    trusted_owners: tuple[Account, ...] = ()
    observer: Observer = "auto"
    rescan_s: SomeSeconds = 60

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _pattern(pattern)

    @field_validator("columns")
    @classmethod
    def _filled(cls, columns: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        for column, value in columns.items():
            if not isinstance(value, _CONSTANT):
                raise ValueError(  # noqa: TRY004 (pydantic's way)
                    f"{column} must be a string, a number, true or false; "
                    "put dates and times in quotes"
                )
            if isinstance(value, str) and (groups := _groups(info)) is not None:
                _groups_in(value, column, groups)
        return columns

    @field_validator("lookup")
    @classmethod
    def _found(cls, lookup: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Lookup]:
        if twice := sorted(lookup.keys() & info.data.get("columns", {}).keys()):
            raise ValueError(f"{twice[0]} is in columns too; remove one of them")
        if (groups := _groups(info)) is None:
            return {}
        return {column: _lookup(column, said, groups) for column, said in lookup.items()}

    @model_validator(mode="after")
    def _fits(self) -> "DropFolder":
        if self.unit == "none" and (self.workflow or self.description):
            key = "workflow" if self.workflow else "description"
            raise ValueError(
                f'{key} belongs to an Execution, and unit = "none" creates none; remove it'
            )
        if self.unit == "directory" and "batch_s" in self.model_fields_set:
            raise ValueError('batch_s is for batches, and unit = "directory" has none; remove it')
        return self

    def drop(self, markers: tuple[str, ...], quiet_s: float, read_back: ReadBack) -> Drop:
        """Return the drop folder; the arguments are the defaults."""
        said = {name: getattr(self, name) for name in Drop.__dataclass_fields__}
        defaults = {"markers": markers, "quiet_s": quiet_s, "read_back": read_back}
        for name, common in defaults.items():
            said[name] = common if said[name] is None else said[name]
        return Drop(**said)


def _groups(info: ValidationInfo) -> Iterable[str] | None:
    """Return the groups of the pattern; None if that is invalid."""
    return Pattern(info.data["pattern"]).groups if "pattern" in info.data else None


def overlap(folders: Iterable[DropFolder], prefixes: Iterable[Path]) -> str | None:
    """Return an error for drop folders inside each other or inside a watched folder, or None."""
    seen: list[Path] = []
    for path in (folder.path for folder in folders):
        for other in seen:
            if path == other:
                return f"names {path} twice; remove one"
            if path in other.parents or other in path.parents:
                return f"has {path} and {other}, one inside the other: a file would be in both"
        for prefix in prefixes:
            if _meet(path, prefix / ROOT):
                return (
                    f"has {path}, but [[watch]] already watches {prefix}/{ROOT}; "
                    "drop files elsewhere"
                )
        seen.append(path)
    return None


def secret_in(folders: Iterable[DropFolder], credential_file: Path | None) -> str | None:
    """Return an error for a drop folder that would upload credentials, or None."""
    secrets = [Path(home(f"~/{name}")) for name in sorted(SECRET_FOLDERS)]
    secrets += [credential_file] if credential_file else []
    for path in (folder.path for folder in folders):
        for secret in secrets:
            if path in {secret, *secret.parents} or secret in path.parents:
                return f"has {path}, which would upload {secret}; drop files elsewhere"
    return None


def _meet(path: Path, pattern: Path) -> bool:
    """Return whether one is inside the other; *pattern* may have wildcards."""
    is_inside = any(each.match(str(pattern)) for each in (path, *path.parents))
    return is_inside or is_above(path, pattern)


def is_above(path: Path, pattern: Path) -> bool:
    """Return whether *path* is what *pattern*, which may have wildcards, matches, or above it."""
    return any(path.match(str(each)) for each in (pattern, *pattern.parents))
