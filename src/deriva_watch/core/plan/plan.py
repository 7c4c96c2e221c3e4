"""From an observation and its metadata to a plan: every file has exactly one answer.

Assets become uploads; everything else is left over with the reason: ignored, unmatched, refused.
Control files (manifest, type files, markers) describe other files and are not uploaded.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from deriva_watch.core.completeness.observation import ALIAS, Entry, Kind, Observation
from deriva_watch.core.layout import Place, Shape, place
from deriva_watch.core.metadata.agreement import Contradiction, checked_values, merge
from deriva_watch.core.metadata.sources import Sources, Statement
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.plan.bags import bag_of, bagged, spoilt
from deriva_watch.core.plan.candidates import FIX_SPEC, Candidate, Leftover, refused
from deriva_watch.core.plan.classified import classified
from deriva_watch.core.plan.path_metadata import inferred
from deriva_watch.core.plan.row_candidates import recorded_features
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.plan.unused_types import unused_notices, unused_types
from deriva_watch.core.prose import closest, shortened
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.states import FileTrigger
from deriva_watch.core.unicode_forms import ANOTHER_FORM, respelled
from deriva_watch.core.values import check

_CONTROL: Final = {Shape.ASSET_TYPES, Shape.MANIFEST, Shape.OLD_MANIFEST, Shape.MARKER}

__all__ = ["AssetPlan", "Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer for every file of an execution directory.

    Attributes:
        assets, leftovers: The files to upload and the others.
        notices: Sentences by their subjects.
        unused_types: Names of files that asset-type/ gives types to and that are not here.
        partial: It has only some of the files; uploading them does not complete the directory.
    """

    assets: tuple[AssetPlan, ...]
    leftovers: tuple[Leftover, ...]
    notices: Mapping[str, str]
    rows: tuple[RowsPlan, ...] = ()
    partial: bool = False
    unused_types: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)

    def of(self, wanted: Callable[[str], bool]) -> "Plan":
        """Return the plan for the files of which a path is *wanted*."""
        return replace(
            self,
            assets=tuple(a for a in self.assets if any(map(wanted, (a.path, *a.also)))),
            leftovers=tuple(a for a in self.leftovers if any(map(wanted, (a.path, *a.also)))),
            rows=tuple(each for each in self.rows if wanted(each.path)),
            partial=True,
        )

    @property
    def work(self) -> list[AssetPlan | RowsPlan]:
        """All that is uploaded."""
        return [*self.assets, *self.rows]


class _Refusal(Exception):  # noqa: N818  # why the asset is left over, and what to do
    def __init__(self, why: str, then: str) -> None:
        super().__init__(why)
        self.why, self.then = shortened(why), then


def make_plan(seen: Observation, said: Sources, rules: Rules) -> Plan:
    """Return the plan for all files in *seen*, and all that the sources *said* name."""
    groups: dict[tuple[TableName, str, tuple[int, int]], list[Candidate]] = defaultdict(list)
    bags: dict[str | None, list[Candidate]] = defaultdict(list)
    assets: list[AssetPlan] = []
    leftovers: list[Leftover] = []
    rows: list[RowsPlan] = []
    for path in sorted(seen.entries):
        entry = seen.entries[path]
        where = _where(path, rules)
        if _is_control(where, rules) and entry.kind is Kind.CONTENT:
            leftovers.extend(_unread(entry, said))
            continue
        answer = classified(entry, where, seen.root, said, rules)
        if isinstance(answer, Leftover):
            leftovers.append(answer)
        elif isinstance(answer, RowsPlan):
            rows.append(answer)
        elif answer.match.mapping.archive:
            bags[bag_of(answer.match, seen.root, path)].append(answer)
        else:
            groups[answer.table.full_name, answer.file_name, entry.identity].append(answer)
    flat = {c.key for group in groups.values() for c in group if c.shape is Shape.FLAT}
    for group in groups.values():
        result = _asset(group, said, rules, lone=group[0].key not in flat)
        (assets if isinstance(result, AssetPlan) else leftovers).append(result)  # type: ignore[arg-type]
    for folder, members in bags.items():
        for answered in _bag(folder, members, seen, said, rules):
            (assets if isinstance(answered, AssetPlan) else leftovers).append(answered)  # type: ignore[arg-type]
    leftovers.extend(_unlisted(seen))
    named = {candidate.key for group in groups.values() for candidate in group} | {
        left.path.removeprefix("assets/") for left in leftovers
    }
    leftovers.extend(_missing(said, named))
    for records in recorded_features(said, rules):
        (rows if isinstance(records, RowsPlan) else leftovers).append(records)  # type: ignore[arg-type]
    refused = {left.path for left in leftovers}
    notices = {about: why for about, why in said.notices.items() if about not in refused}
    notices |= {path: why for path, why in seen.unreadable.items() if why == ALIAS}
    notices |= seen.disbelieved
    there = {(group[0].table.full_name, group[0].file_name) for group in groups.values()}
    there |= {(each.table.full_name, each.file_name) for each in chain(*bags.values())}
    unused = unused_types(said, there, [left.path for left in leftovers])
    notices |= inferred(assets) | unused_notices(unused)
    notices |= _respelled(assets, chain(*groups.values()))
    return Plan(tuple(assets), tuple(leftovers), notices, tuple(rows), unused_types=unused)


def _respelled(assets: list[AssetPlan], candidates: Iterable[Candidate]) -> dict[str, str]:
    told = {}
    if any(asset.respelled for asset in assets):
        told["asset types"] = f"some are linked as the catalog has them, {ANOTHER_FORM}"
    if any(candidate.respelled for candidate in candidates):
        told["pattern"] = f"some names match it {ANOTHER_FORM}"
    return told


def _where(path: str, rules: Rules) -> Place | None:
    """Parse the path of a file; a drop folder has no layout but its markers."""
    if rules.execution:
        return place(path, rules.markers)
    return Place(Shape.MARKER, {}) if rules.drop and path in rules.markers else None


def _is_control(where: Place | None, rules: Rules) -> bool:
    if where and where.shape is Shape.COLUMNS:  # data, where there are no directories to tell of
        table = rules.model.tables.get(TableName(where.part["schema"], where.part["table"]))
        return table is not None and bool(rules.model.asset_metadata(table))
    return where is not None and where.shape in _CONTROL


def _bag(
    folder: str | None, members: list[Candidate], seen: Observation, said: Sources, rules: Rules
) -> Iterator[AssetPlan | Leftover]:
    """Make one asset of a directory, or refuse each file in it with the reason."""
    made = _asset(members[:1], said, rules, lone=False)
    spoil = spoilt(folder, seen) if folder else None
    if folder and isinstance(made, AssetPlan) and not spoil:
        yield bagged(made, folder, [each.entry.path for each in members], seen)
        return
    why, then = "the bag would be the whole directory, or be outside of it", FIX_SPEC
    if isinstance(made, Leftover):
        why, then = made.why, made.next
    elif spoil:
        why, then = f"its bag would be incomplete: {spoil}", "Correct that, then retry."
    yield from (refused(each.entry, why, then) for each in members)


def _unread(entry: Entry, said: Sources) -> Iterator[Leftover]:
    """Refuse a control file that could not be read in full: what it says is missing."""
    if why := said.notices.get(entry.path):
        yield Leftover(
            entry.path, entry, FileTrigger.REFUSED, f"cannot read all of {entry.path}", why,
            "Write the whole file again.",
        )  # fmt: skip


def _unlisted(seen: Observation) -> Iterator[Leftover]:
    """Refuse the directories that cannot be listed."""
    for path, why in seen.unlisted.items():
        yield Leftover(
            path, None, FileTrigger.REFUSED, f"cannot list {path}", why,
            "Let the daemon's user list it, or replace the link by a folder.",
        )  # fmt: skip


def _asset(
    group: list[Candidate], said: Sources, rules: Rules, *, lone: bool
) -> AssetPlan | Leftover:
    """Make one asset of all the paths that lead to one file."""
    first = min(group, key=lambda c: (c.entry.link, c.shape is not Shape.FLAT, c.entry.path))
    also = tuple(c.entry.path for c in group if c is not first)
    try:
        one = _agreement(first, group, said, lone=lone)
        values = _values(first, one, rules.model)
        types = _types(one, rules.asset_types)
    except _Refusal as error:
        return refused(first.entry, error.why, error.then, also)
    return AssetPlan(
        entry=first.entry,
        also=also,
        match=first.match,
        values=values,
        types=types,
        description=one.description,
        given_rid=one.rid,
        key=next((c.key for c in group if c.shape is Shape.FLAT), first.key),
        recorded=one.recorded,
        order=next((c.order for c in group if c.order), None),
        respelled=not set(types) <= set(one.types or ()),
    )


def _agreement(first: Candidate, group: list[Candidate], said: Sources, *, lone: bool) -> Statement:
    """Return the combined statement of all sources on one asset; earlier ones win."""
    flat = [candidate.key for candidate in group if candidate.shape is Shape.FLAT]
    entries = said.manifest.entries if said.manifest else {}
    statements: list[Statement] = []
    for key in flat or ([first.key] if lone else []):
        statements += [says for says in (said.workspace.get(key), entries.get(key)) if says]
    ambiguous = said.manifest.ambiguous if said.manifest else frozenset()
    if twice := ambiguous.intersection(candidate.key for candidate in group):
        why = said.manifest.problems[min(twice)] if said.manifest else ""
        raise _Refusal(why, "Correct the manifest, so that it says everything once.")
    if flat and not statements and (broken := _broken_manifest(said, flat[0])):
        raise _Refusal(broken, "Write the whole manifest again.")
    unclear = next((c.unclear for c in group if c.unclear), None)
    if unclear and not statements:
        raise _Refusal(f"{unclear.what}: {unclear.why}", unclear.next)
    listed = said.types.get(first.table.full_name, {}).get(first.file_name)
    if listed is not None:
        statements.append(Statement("asset-type", first.table.name, types=listed))
    statements += [candidate.path_says for candidate in group if candidate.path_says]
    try:
        return merge(first.table, statements)
    except Contradiction as error:
        raise _Refusal(str(error), "Correct the one that is wrong.") from None


def _values(first: Candidate, one: Statement, model: CatalogModel) -> dict[str, Any]:
    """Return the value of every metadata column for the row."""
    try:
        values = _checked(first, one, model)
    except ValueError as error:
        raise _Refusal(str(error), _value_hint(first)) from None
    columns = first.match.mapping.column_map
    if lost := [c for c, value in values.items() if value is not None and c not in columns]:
        names = ", ".join(map(repr, lost))
        raise _Refusal(f"the bulk spec does not fill {names} of {first.match.table}", FIX_SPEC)
    return values


def _checked(first: Candidate, one: Statement, model: CatalogModel) -> dict[str, Any]:
    """Return the values, ready for a row; raise ValueError if one is invalid.

    A mapping that does more than the generated ones says itself which columns the row has.
    """
    if first.match.mapping.by_content:
        return checked_values(model, first.table, one.metadata)
    columns = first.table.column
    if unknown := sorted(one.metadata.keys() - columns.keys()):
        names = ", ".join(map(repr, unknown))
        raise ValueError(f"{first.table.full_name} has no column {names}")
    said = sorted(one.metadata.items())
    return {name: None if value is None else check(columns[name], value) for name, value in said}


def _types(one: Statement, known: frozenset[str] | None) -> tuple[str, ...]:
    other = respelled(one.types or (), known or ())
    types = tuple(dict.fromkeys(other.get(name, name) for name in one.types or ()))
    if known is not None and (odd := [name for name in types if name not in known]):
        why = f"{', '.join(map(repr, odd))} is not an asset type of this catalog"
        why += closest(odd[0], known)
        raise _Refusal(why, "Correct the type, or add the term to Asset_Type.")
    return types


def _value_hint(candidate: Candidate) -> str:
    if candidate.shape is Shape.FLAT:
        return "Write the metadata of the file into asset-manifest.json."
    columns = "/".join(sorted(candidate.match.mapping.groups))
    return f"Its directories are read as {columns}; `asset_file_path` builds them."


def _broken_manifest(said: Sources, key: str) -> str | None:
    problems = said.manifest.problems if said.manifest else {}
    return problems.get(key) or problems.get("")


def _missing(said: Sources, named: set[str]) -> Iterator[Leftover]:
    """Refuse the files that were registered but do not exist."""
    entries = dict(said.manifest.entries) if said.manifest else {}
    for key, statement in (entries | dict(said.workspace)).items():
        if key not in named and not statement.recorded:
            path = f"assets/{key}"
            yield Leftover(
                path, None, FileTrigger.REFUSED, f"cannot upload {path}",
                f"{statement.source} names it, but there is no such file",
                "Write the file, or remove its entry.",
            )  # fmt: skip
