"""From what was seen and said to what shall be done: every file has exactly one answer.

Assets become uploads; everything else is left over with the reason: ignored, unmatched, refused.
Control files (manifest, type files, markers) speak about files and are none themselves.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from deriva_watch.core.agreement import Contradiction, checked_values, merge
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import (
    TYPED_TABLES,
    Place,
    Shape,
    metadata_segments,
    place,
    unstaged,
)
from deriva_watch.core.model import CatalogModel, Table, TableName
from deriva_watch.core.observation import Entry, Kind, Observation
from deriva_watch.core.sources import Manifest, Statement
from deriva_watch.core.spec import Match, Spec
from deriva_watch.core.states import FileTrigger
from deriva_watch.core.values import NULL_SENTINEL, value_from

_MEND_SPEC: Final = "Mend the specification; `deriva-watch spec` prints the one in force."
_CONTROL: Final = {Shape.ASSET_TYPES, Shape.MANIFEST, Shape.OLD_MANIFEST, Shape.MARKER}


@dataclass(frozen=True, slots=True)
class Sources:
    """What was said beside the paths.

    Attributes:
        manifest: The execution's manifest, or None.
        workspace: Statements of deriva-ml's workspace database by "<Table>/<file>".
        types: Asset types by table and file name, from asset-type/.
        notices: Sentences about sources that could not be read in full, by path.
    """

    manifest: Manifest | None = None
    workspace: Mapping[str, Statement] = field(default_factory=dict)
    types: Mapping[TableName, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan is made by: the model, the bulk spec, the terms and the markers."""

    model: CatalogModel
    spec: Spec
    asset_types: frozenset[str] | None
    markers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AssetPlan:
    """One asset to bring in.

    Attributes:
        entry: The file to send.
        also: Other paths of the same asset: links that lead to the same file.
        match: The mapping that takes it.
        values: Every metadata column of its table.
        types: Its asset types.
        description: For the INSERT, or None.
        given_rid: The RID its row shall have, or None: the server gives one.
        recorded: Another uploader says that the row `given_rid` is in the catalog.
    """

    entry: Entry
    also: tuple[str, ...]
    match: Match
    values: Mapping[str, Any]
    types: tuple[str, ...]
    description: str | None
    given_rid: str | None
    recorded: bool

    @property
    def path(self) -> str:
        """Below the execution directory."""
        return self.entry.path

    @property
    def file_name(self) -> str:
        """Last segment of the path: the row's Filename."""
        return self.path.rpartition("/")[2]

    @property
    def table(self) -> TableName:
        """Its asset table."""
        return self.match.table

    def statement(self) -> str:
        """Return a digest of all that is said of the file: a change makes it another asset."""
        said = [self.table, self.file_name, self.values, self.types, self.description]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that is not uploaded, and why.

    Attributes:
        path: Below the execution directory.
        entry: The file, or None for one that does not exist.
        trigger: What becomes of it: ignored, unmatched, rejected.
        what, why, next: The sentence for a person.
        also: Other paths of the same asset, which is left over as a whole.
    """

    path: str
    entry: Entry | None
    trigger: FileTrigger
    what: str
    why: str
    next: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer for every file of an execution directory."""

    assets: tuple[AssetPlan, ...]
    leftovers: tuple[Leftover, ...]
    notices: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Candidate:
    entry: Entry
    table: Table
    shape: Shape
    match: Match
    path_says: Statement | None
    key: str  # "<Table>/<file>", its name in manifest and workspace

    @property
    def file_name(self) -> str:
        return self.entry.path.rpartition("/")[2]


class _Refusal(Exception):  # noqa: N818  # why the asset is left over, and what to do
    def __init__(self, why: str, then: str) -> None:
        super().__init__(why)
        self.why, self.then = why, then


def make_plan(seen: Observation, said: Sources, rules: Rules) -> Plan:
    """Answer for every file that *seen* has, and for every one that *said* names."""
    groups: dict[tuple[TableName, str, tuple[int, int]], list[_Candidate]] = defaultdict(list)
    assets: list[AssetPlan] = []
    leftovers: list[Leftover] = []
    for path in sorted(seen.entries):
        entry = seen.entries[path]
        where = place(path, rules.markers)
        if where and where.shape in _CONTROL and entry.kind is Kind.CONTENT:
            continue
        answer = _candidate(entry, where, seen.root, said, rules)
        if isinstance(answer, Leftover):
            leftovers.append(answer)
        else:
            groups[answer.table.full_name, answer.file_name, entry.identity].append(answer)
    flat = {c.key for group in groups.values() for c in group if c.shape is Shape.FLAT}
    for group in groups.values():
        result = _asset(group, said, rules, lone=group[0].key not in flat)
        (assets if isinstance(result, AssetPlan) else leftovers).append(result)  # type: ignore[arg-type]
    leftovers.extend(_unlisted(seen))
    named = {candidate.key for group in groups.values() for candidate in group} | {
        left.path.removeprefix("assets/") for left in leftovers
    }
    leftovers.extend(_missing(said, named))
    return Plan(tuple(assets), tuple(leftovers), said.notices)


def _unlisted(seen: Observation) -> Iterator[Leftover]:
    """Name the directories whose files nobody knows."""
    for path, why in seen.unreadable.items():
        yield Leftover(
            path, None, FileTrigger.REJECTED, f"cannot look into {path}", why,
            "Let the user of the daemon list it, or remove it.",
        )  # fmt: skip


def _candidate(
    entry: Entry, where: Place | None, root: str, said: Sources, rules: Rules
) -> _Candidate | Leftover:
    if left := _unusable(entry):
        return left
    match = rules.spec.match(f"{root}/{unstaged(entry.path)}")
    try:
        if match and match.mapping.asset_type == "file":
            table = rules.model.name_to_table(match.table)
            shape = where.shape if where else Shape.ASSET_TREE
            says = _path_statement(entry.path, match)
            key = f"{table.name}/{entry.path.rpartition('/')[2]}"
            return _fitting(_Candidate(entry, table, shape, match, says, key), rules)
        if where and not match:
            return _by_layout(entry, where, root, said, rules)
    except RefusedError as error:
        return _refused(entry, f"{error.what}: {error.why}", error.next)
    why = (
        f"it has rows of {match.table}, and only files of asset tables are uploaded"
        if match
        else "no mapping of the bulk spec takes it"
    )
    return Leftover(
        entry.path, entry, FileTrigger.UNMATCHED, f"{entry.path} is not uploaded", why,
        f"`deriva-watch plan {root}` shows what each mapping wants.",
    )  # fmt: skip


def _unusable(entry: Entry) -> Leftover | None:
    if entry.kind is Kind.IGNORED:
        return Leftover(
            entry.path, entry, FileTrigger.IGNORED, f"{entry.path} is not uploaded",
            "its name matches a pattern of [files] ignore",
            "Nothing to do; change [files] ignore if it is data.",
        )  # fmt: skip
    if entry.problem is not None:
        return _refused(entry, entry.problem, "Replace it by a regular file, or remove it.")
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return _refused(entry, "its name is not UTF-8, and a catalog stores text", "Rename it.")
    return None


def _path_statement(path: str, match: Match) -> Statement:
    metadata = {
        column: value_from(match.groups[group])
        for column, group in match.mapping.groups.items()
        if group in match.groups
    }
    rid, table = match.groups.get("RID"), match.table
    source = f"the path {path}"
    return Statement(source, table.table, schema=table.schema, metadata=metadata, rid=rid)


def _by_layout(
    entry: Entry, where: Place, root: str, said: Sources, rules: Rules
) -> _Candidate | Leftover:
    """Answer for a file whose path says less than the bulk spec wants to read from it."""
    part, says = where.part, None
    key = f"{part.get('table')}/{part.get('file')}"
    if where.shape is Shape.TYPED:
        table = rules.model.name_to_table(TableName(*TYPED_TABLES[part["kind"]]))
        says = Statement(f"the path {entry.path}", table.name, types=(part["type"],))
        key = f"{table.name}/{part['file']}"
    elif where.shape is Shape.FLAT:
        entries = said.manifest.entries if said.manifest else {}
        speaker = said.workspace.get(key) or entries.get(key)
        schema, name = (speaker.schema, speaker.table) if speaker else (None, part["table"])
        table = rules.model.name_to_table(TableName(schema, name) if schema else name)
    else:
        return _wrong_tree(entry, where, rules.model)
    if not rules.model.is_asset(table):
        return _no_asset_table(entry, table.full_name)
    # The mapping is found by the path that the file would have in the asset tree.
    nulls = f"{NULL_SENTINEL}/" * len(rules.model.asset_metadata(table))
    virtual = f"{root}/asset/{table.schema.name}/{table.name}/{nulls}{part['file']}"
    match = rules.spec.match(virtual)
    if match is None or match.table != table.full_name:
        why = f"no mapping of the bulk spec takes files of {table.full_name}"
        return _refused(entry, why, "Add a mapping for the table, or move the file.")
    return _fitting(_Candidate(entry, table, where.shape, match, says, key), rules)


def _fitting(candidate: _Candidate, rules: Rules) -> _Candidate | Leftover:
    """Return *candidate* if its mapping makes a row that its table can hold."""
    entry, table, mapping = candidate.entry, candidate.table, candidate.match.mapping
    if not rules.model.is_asset(table):
        return _no_asset_table(entry, table.full_name)
    if odd := sorted(mapping.column_map.keys() - table.column.keys()):  # ERMrest would ignore them
        names = ", ".join(map(repr, odd))
        why = f"mapping {mapping.number} of the bulk spec fills {names} of {table.full_name}, which"
        return _refused(entry, f"{why} has no such column", _MEND_SPEC)
    return candidate


def _wrong_tree(entry: Entry, where: Place, model: CatalogModel) -> Leftover:
    """Say why a path below asset/ fits no mapping."""
    table = model.name_to_table(TableName(where.part["schema"], where.part["table"]))
    if not model.is_asset(table):
        return _no_asset_table(entry, table.full_name)
    columns, given = sorted(model.asset_metadata(table)), metadata_segments(where.part["rest"])
    wanted = "/".join(f"<{column}>" for column in columns) or "none"
    why = f"{table.full_name} wants the metadata directories {wanted}, the path has {len(given)}"
    return _refused(entry, why, "Move it to the path that `asset_file_path` builds.")


def _no_asset_table(entry: Entry, name: TableName) -> Leftover:
    return _refused(entry, f"{name} is no asset table", "Move it to the folder of an asset table.")


def _refused(entry: Entry, why: str, then: str, also: tuple[str, ...] = ()) -> Leftover:
    what = f"cannot upload {entry.path}"
    return Leftover(entry.path, entry, FileTrigger.REJECTED, what, why, then, also)


def _asset(
    group: list[_Candidate], said: Sources, rules: Rules, *, lone: bool
) -> AssetPlan | Leftover:
    """Make one asset of all the paths that lead to one file."""
    first = min(group, key=lambda c: (c.entry.link, c.shape is not Shape.FLAT, c.entry.path))
    also = tuple(c.entry.path for c in group if c is not first)
    try:
        one = _agreement(first, group, said, lone=lone)
        values = _values(first, one, rules.model)
        types = _types(one, rules.asset_types)
    except _Refusal as error:
        return _refused(first.entry, error.why, error.then, also)
    return AssetPlan(
        entry=first.entry,
        also=also,
        match=first.match,
        values=values,
        types=types,
        description=one.description,
        given_rid=one.rid,
        recorded=one.recorded,
    )


def _agreement(
    first: _Candidate, group: list[_Candidate], said: Sources, *, lone: bool
) -> Statement:
    """Return what all who speak of one asset say together, the strongest first."""
    flat = [candidate.key for candidate in group if candidate.shape is Shape.FLAT]
    entries = said.manifest.entries if said.manifest else {}
    statements: list[Statement] = []
    for key in flat or ([first.key] if lone else []):
        statements += [says for says in (said.workspace.get(key), entries.get(key)) if says]
    if flat and not statements and (broken := _broken_manifest(said, flat[0])):
        raise _Refusal(broken, "Mend the manifest: write it anew, as a whole.")
    listed = said.types.get(first.table.full_name, {}).get(first.file_name)
    if listed is not None:
        statements.append(Statement("asset-type", first.table.name, types=listed))
    statements += [candidate.path_says for candidate in group if candidate.path_says]
    try:
        return merge(first.table, statements)
    except Contradiction as error:
        raise _Refusal(str(error), "Correct the one that is wrong.") from None


def _values(first: _Candidate, one: Statement, model: CatalogModel) -> dict[str, Any]:
    """Return the value of every metadata column, as the row will have it."""
    try:
        values = checked_values(model, first.table, one.metadata)
    except ValueError as error:
        raise _Refusal(str(error), _value_hint(first)) from None
    columns = first.match.mapping.column_map
    if lost := [c for c, value in values.items() if value is not None and c not in columns]:
        names = ", ".join(map(repr, lost))
        raise _Refusal(f"the bulk spec has no place for {names} of {first.match.table}", _MEND_SPEC)
    return values


def _types(one: Statement, known: frozenset[str] | None) -> tuple[str, ...]:
    types = tuple(dict.fromkeys(one.types or ()))
    if known is not None and (odd := [name for name in types if name not in known]):
        why = f"{', '.join(map(repr, odd))} is no asset type of this catalog"
        raise _Refusal(why, "Correct the type, or add the term to Asset_Type.")
    return types


def _value_hint(candidate: _Candidate) -> str:
    if candidate.shape is Shape.FLAT:
        return "Write the metadata of the file into asset-manifest.json."
    columns = "/".join(sorted(candidate.match.mapping.groups))
    return f"Its directories are read as {columns}; `asset_file_path` builds them."


def _broken_manifest(said: Sources, key: str) -> str | None:
    problems = said.manifest.problems if said.manifest else {}
    return problems.get(key) or problems.get("")


def _missing(said: Sources, named: set[str]) -> Iterator[Leftover]:
    """Name the files that were registered but are not there."""
    entries = dict(said.manifest.entries) if said.manifest else {}
    for key, statement in (entries | dict(said.workspace)).items():
        if key not in named and not statement.recorded:
            path = f"assets/{key}"
            yield Leftover(
                path, None, FileTrigger.REJECTED, f"cannot upload {path}",
                f"{statement.source} names it, but there is no such file",
                "Write the file, or take its entry out.",
            )  # fmt: skip
