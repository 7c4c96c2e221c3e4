"""Classify one file: a candidate for an asset table, or left over with the reason."""

from dataclasses import dataclass, replace
from typing import Final

from deriva_watch.core.completeness.observation import Entry, Kind
from deriva_watch.core.drop.drop_spec import CompiledDrop, unfitted
from deriva_watch.core.drop.drop_values import Dropped, statement
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import TYPED_TABLES, Place, Shape, metadata_segments
from deriva_watch.core.metadata.metadata_order import Reading
from deriva_watch.core.metadata.sources import Sources, Statement
from deriva_watch.core.model import CatalogModel, Table, TableName
from deriva_watch.core.patterns import TooSlowError
from deriva_watch.core.plan.explain import misses
from deriva_watch.core.plan.path_metadata import read_path
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.spec import Match
from deriva_watch.core.states import FileTrigger
from deriva_watch.core.unicode_forms import forms
from deriva_watch.core.values import NULL_SENTINEL

FIX_SPEC: Final = "Correct the bulk spec; `deriva-watch spec` prints the one in use."


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that is not uploaded, and why.

    Attributes:
        path: Below the execution directory.
        entry: The file, or None for one that does not exist.
        trigger: Ignored, unmatched or refused.
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
class Candidate:
    """A file that a mapping matches, before other sources of its metadata are considered."""

    entry: Entry
    table: Table
    shape: Shape
    match: Match
    path_says: Statement | None
    key: str  # "<Table>/<file>", its name in manifest and workspace
    order: tuple[str, ...] | None = None  # of the metadata in its path, if that was inferred
    unclear: RefusedError | None = None  # its path is ambiguous
    respelled: bool = False  # its path matches in another Unicode form

    @property
    def file_name(self) -> str:
        """Last segment of its path."""
        return self.entry.path.rpartition("/")[2]


def candidate(  # noqa: PLR0913, PLR0917  # a file, what is known of its path, and by what it is judged
    entry: Entry,
    where: Place | None,
    match: Match | None,
    root: str,
    said: Sources,
    rules: Rules,
) -> Candidate | Leftover:
    """Classify a file by its path.

    Args:
        entry: The file.
        where: Its parsed path.
        match: The mapping that its path matches.
        root: The execution directory.
        said: What describes the files.
        rules: The bulk spec and the catalog's model.

    Raises RefusedError for a file that cannot be uploaded.
    """
    if match:
        table = rules.model.name_to_table(match.table)
        return _fitting(_by_path(entry, where, table, match, said, rules))
    if where:
        return _by_layout(entry, where, root, said, rules)
    return Leftover(
        entry.path, entry, FileTrigger.UNMATCHED, f"{entry.path} is not uploaded",
        "no mapping of the bulk spec matches it",
        f"`deriva-watch plan {root}` shows what each mapping expects.",
    )  # fmt: skip


def dropped_candidate(entry: Entry, root: str, dropped: Dropped) -> Candidate | Leftover:
    """Classify a file in a drop folder."""
    compiled, path = dropped.compiled, f"{root}/{entry.path}"
    try:
        match, respelled = _match_of(path, compiled)
    except TooSlowError:  # it names what the pattern is compiled to
        error = TooSlowError.of(compiled.drop.pattern, entry.path)
        return refused(entry, f"{error.what}: {error.why}", error.next)
    if match is None:
        return Leftover(
            entry.path, entry, FileTrigger.UNMATCHED, f"{entry.path} is not uploaded",
            _how_far(compiled, path, root),
            "Rename or move it, or correct the pattern of [[drop]] in the settings.",
        )  # fmt: skip
    try:
        says = statement(entry.path, match, dropped)
    except RefusedError as error:
        return refused(entry, f"{error.what}: {error.why}", error.next)
    table, file_name = compiled.table, entry.path.rpartition("/")[2]
    key = f"{table.name}/{file_name}"
    made = Candidate(entry, table, Shape.ASSET_TREE, match, says, key)
    return replace(made, respelled=respelled)


def _match_of(path: str, compiled: CompiledDrop) -> tuple[Match | None, bool]:
    """Return the match of a path in any Unicode form, and whether that is not its own form."""
    folder = f"{str(compiled.drop.path).rstrip('/')}/"
    below = path.removeprefix(folder)
    for each in forms(below):
        if match := compiled.spec.match(folder + each):
            return match, each != below
    return None, False


def _how_far(compiled: CompiledDrop, path: str, root: str) -> str:
    (miss,) = misses(compiled.spec, path, root)
    if miss.matched is None:
        return "it does not match the pattern of the drop folder; how far takes long to find out"
    upto = miss.matched.removeprefix(f"{compiled.drop.path}/")
    wants = unfitted(miss.wants)
    after = f"after {upto!r}" if upto else "at its start"
    expected = f"{wants} is expected" if wants else "nothing more is expected"
    return f"its path does not match the pattern of the drop folder: {after}, {expected}"


def unusable(entry: Entry) -> Leftover | None:
    """Return why no mapping can have the file, or None if one can."""
    if entry.kind is Kind.IGNORED:
        return Leftover(
            entry.path, entry, FileTrigger.IGNORED, f"{entry.path} is not uploaded",
            entry.problem or "it is ignored",
            "Nothing to do. If it is data, rename it, or take the pattern out.",
        )  # fmt: skip
    if entry.problem is not None:
        return refused(
            entry, entry.problem, "Put a regular file in its place, or move it elsewhere."
        )
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return refused(entry, "its name is not UTF-8, and a catalog stores text", "Rename it.")
    return None


def _by_path(  # noqa: PLR0913, PLR0917  # what a path is read with
    entry: Entry, where: Place | None, table: Table, match: Match, said: Sources, rules: Rules
) -> Candidate:
    """Return the candidate of a path that a mapping matches.

    If the path is ambiguous, another source may still give the metadata.
    """
    shape, key = (
        where.shape if where else Shape.ASSET_TREE,
        f"{table.name}/{entry.path.rpartition('/')[2]}",
    )
    unclear, read = None, Reading({})
    try:
        read = read_path(where, table, match, said, rules)
    except RefusedError as error:
        unclear = error
    source, rid = f"the path {entry.path}", match.groups.get("RID")
    schema, name = match.table
    says = Statement(source, name, schema=schema, metadata=read.values, rid=rid)
    return Candidate(entry, table, shape, match, says, key, read.inferred, unclear)


def _by_layout(
    entry: Entry, where: Place, root: str, said: Sources, rules: Rules
) -> Candidate | Leftover:
    """Classify a file whose path has a known shape but matches no mapping."""
    part, says = where.part, None
    key = f"{part.get('table')}/{part.get('file')}"
    if where.shape is Shape.TYPED:
        table = rules.model.name_to_table(TableName(*TYPED_TABLES[part["kind"]]))
        says = Statement(f"the path {entry.path}", table.name, types=(part["type"],))
        key = f"{table.name}/{part['file']}"
    elif where.shape is Shape.FEATURE_ASSET:
        own = TableName(part["schema"], part["asset_table"])
        known = own in rules.model.tables
        table = rules.model.name_to_table(own if known else part["asset_table"])
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
    # Find the mapping by the path that the file would have in the asset tree.
    nulls = f"{NULL_SENTINEL}/" * len(rules.model.asset_metadata(table))
    virtual = f"{root}/asset/{table.schema.name}/{table.name}/{nulls}{part['file']}"
    match = rules.spec.match(virtual, root)
    if match is None or match.table != table.full_name:
        return _no_mapping(entry, table)
    return _fitting(Candidate(entry, table, where.shape, match, says, key))


def _fitting(candidate: Candidate) -> Candidate | Leftover:
    """Return *candidate* if its mapping makes a row that its table can hold."""
    entry, table, mapping = candidate.entry, candidate.table, candidate.match.mapping
    if odd := sorted(mapping.column_map.keys() - table.column.keys()):  # ERMrest would ignore them
        names = ", ".join(map(repr, odd))
        why = f"mapping {mapping.number} of the bulk spec fills {names} of {table.full_name}, which"
        return refused(entry, f"{why} has no such column", FIX_SPEC)
    return candidate


def _wrong_tree(entry: Entry, where: Place, model: CatalogModel) -> Leftover:
    """Return why a path below asset/ matches no mapping."""
    table = model.name_to_table(TableName(where.part["schema"], where.part["table"]))
    if not model.is_asset(table):
        return _no_asset_table(entry, table.full_name)
    columns, given = sorted(model.asset_metadata(table)), metadata_segments(where.part["rest"])
    if len(given) == len(columns):
        return _no_mapping(entry, table)
    wanted = "/".join(f"<{column}>" for column in columns) or "none"
    why = f"{table.full_name} needs the metadata directories {wanted}, the path has {len(given)}"
    return refused(entry, why, "Move it to the path that `asset_file_path` builds.")


def _no_mapping(entry: Entry, table: Table) -> Leftover:
    why = f"no mapping of the bulk spec matches files of {table.full_name}"
    return refused(entry, why, "Add a mapping for the table, or move the file.")


def _no_asset_table(entry: Entry, name: TableName) -> Leftover:
    then = "Move it to the folder of an asset table."
    return refused(entry, f"{name} is not an asset table", then)


def refused(entry: Entry, why: str, then: str, also: tuple[str, ...] = ()) -> Leftover:
    """Return the refusal of a file: *why*, and what to do *then*."""
    what = f"cannot upload {entry.path}"
    return Leftover(entry.path, entry, FileTrigger.REFUSED, what, why, then, also)
