"""The metadata in the directories of an asset's path."""

from collections import defaultdict
from collections.abc import Iterable

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import COLUMNS, Place, Shape, metadata_segments, place
from deriva_watch.core.metadata.metadata_order import Directories, Reading, Reference
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import Table, TableName
from deriva_watch.core.plan.asset_plan import AssetPlan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.spec import Match
from deriva_watch.core.values import value_from


def read_path(
    where: Place | None, table: Table, match: Match, said: Sources, rules: Rules
) -> Reading:
    """Return the metadata in a path; raise RefusedError if it is ambiguous."""
    groups = match.mapping.groups
    given = {c: match.groups[group] for c, group in groups.items() if group in match.groups}
    if not match.mapping.decodes:  # other people's paths are not percent-encoded
        return Reading({**given})
    letter = Reading({column: value_from(segment) for column, segment in given.items()})
    if where is None or where.shape is not Shape.ASSET_TREE or not given:
        return letter
    column_of = {group: column for column, group in groups.items()}
    in_path = [column_of[group] for group in match.mapping.names if group in column_of]
    segments = metadata_segments(where.part["rest"])
    read = [match.groups.get(groups[column]) for column in in_path]
    if in_path != sorted(in_path) or segments not in (read, [*read, match.groups.get("RID")]):
        return letter  # the spec itself says where its columns are
    declared = said.columns.get(table.full_name)
    if declared is None:
        sure = rules.metadata_in_order or "RID" in match.groups
        columns, texts = tuple(in_path), tuple(segments[: len(in_path)])
        return Directories(table, columns, texts, in_order=sure).read(rules.known)
    if sorted(declared) != in_path:
        raise RefusedError(
            "the columns of its directories are not known",
            f"asset/{table.schema.name}/{table.name}/{COLUMNS} names {'/'.join(declared)}, "
            f"but the metadata columns are {'/'.join(in_path)}",
            "Build its path again with `asset_file_path`.",
        )
    return Reading(dict(zip(declared, map(value_from, segments), strict=False)))


def questions(seen: Observation, said: Sources, rules: Rules) -> dict[Reference, set[str]]:
    """Return the values to look up in the catalog before paths can be read."""
    asked: dict[Reference, set[str]] = defaultdict(set)
    for path in seen.entries if rules.execution else ():
        where = place(path, rules.markers)
        if where is None or where.shape is not Shape.ASSET_TREE:
            continue
        name = TableName(where.part["schema"], where.part["table"])
        table = rules.model.tables.get(name)
        if table is None or name in said.columns:
            continue
        columns = tuple(sorted(rules.model.asset_metadata(table)))
        segments = tuple(metadata_segments(where.part["rest"]))
        if columns and 0 <= len(segments) - len(columns) <= 1:
            sure = rules.metadata_in_order or len(segments) > len(columns)
            read = Directories(table, columns, segments[: len(columns)], in_order=sure)
            for reference, values in read.questions().items():
                asked[reference] |= values
    return asked


def inferred(assets: Iterable[AssetPlan]) -> dict[str, str]:
    """Return the notices about files whose directories are not in the documented order."""
    count: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
    for asset in assets:
        if asset.order:
            count[f"asset/{asset.table.schema}/{asset.table.table}", asset.order] += 1
    told: dict[str, list[str]] = defaultdict(list)
    for (folder, order), files in count.items():
        told[folder].append(f"{'/'.join(order)} ({files})")
    said = "order=inferred, so the directories are read as (files)"
    return {folder: f"{said}: {'; '.join(orders)}" for folder, orders in told.items()}
