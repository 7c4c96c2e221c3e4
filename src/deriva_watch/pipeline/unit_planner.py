"""Plans a unit: what to do with each of its files, by the bulk spec or its drop folder."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import TYPED_FOLDERS
from deriva_watch.core.metadata.metadata_order import Reference
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.plan.path_metadata import questions
from deriva_watch.core.plan.plan import AssetPlan, Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.unicode_forms import respelled, with_forms
from deriva_watch.core.unit import Unit
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.rows.spelling import Spelling
from deriva_watch.pipeline.drop_plan import plan_drop
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

Planner = Callable[[Unit, Observation, CatalogModel, Catalog], Plan]
"""Returns the plan for every file that was seen in a unit."""


def spec_source(settings: Settings) -> SpecSource:
    """Return where the bulk spec comes from."""
    return SpecSource(
        settings.spec.source,
        settings.spec.file,
        frozenset(settings.spec.allowed_processors),
        settings.transfer.chunk_bytes,
    )


@dataclass(frozen=True, slots=True)
class UnitPlanner:
    """Plans units as the settings say; `plan` is a `Planner`."""

    unit_reader: UnitReader
    specs: SpecSource

    def plan(self, unit: Unit, seen: Observation, model: CatalogModel, catalog: Catalog) -> Plan:
        """Return the plan for every file that was *seen* in a unit.

        Raises UnusableSpecError, RefusedError if there are too many files, and what
        `UnitReader.sources` raises.
        """
        settings = self.unit_reader.settings
        refuse_too_many(unit, len(seen.entries), settings.files.max_files)
        if unit.drop:
            dropped = plan_drop(unit.drop, seen, model, catalog, settings.transfer.chunk_bytes)
            return _as_in_catalog(dropped, model, catalog)
        sources = self.unit_reader.sources(unit, seen)
        vocabulary = model.ml_table("Asset_Type") if _has_types(seen, sources) else None
        rules = Rules(
            model=model,
            spec=self.specs.spec(model),
            execution=unit.name if unit.is_execution else None,
            asset_types=catalog.terms(vocabulary.full_name) if vocabulary else None,
            markers=frozenset(settings.completion.markers),
            metadata_in_order=settings.files.metadata_order == "sorted",
        )
        asked = questions(seen, sources, rules)
        found = {each: _found(catalog, each, values) for each, values in asked.items() if values}
        known = {each: values for each, values in found.items() if values is not None}
        made = make_plan(seen, sources, replace(rules, known=known))
        return _as_in_catalog(made, model, catalog)


def _has_types(seen: Observation, said: Sources) -> bool:
    """Return whether any file is given an asset type: only then the catalog is asked for them."""
    return said.have_types or any(path.startswith(TYPED_FOLDERS) for path in seen.entries)


def refuse_too_many(unit: Unit, files: int, most: int) -> None:
    """Raise RefusedError if a unit has more than *most* files."""
    if files > most:
        raise RefusedError(
            f"cannot upload {unit.label}",
            f"it has {files:,} files, and [files] max_files allows {most:,}",
            "Divide it into several, or raise max_files and the memory of the service.",
        )


def _found(catalog: Catalog, where: Reference, values: set[str]) -> frozenset[str] | None:
    """Return those of *values* that a column has; None if we may not read it."""
    try:
        rows = catalog.rows_with(where.table, where.column, with_forms(values))
    except RefusedError:
        return None
    there = frozenset(str(row[where.column]) for row in rows)
    return (there & values) | respelled(values, there).keys()


def _as_in_catalog(plan: Plan, model: CatalogModel, catalog: Catalog) -> Plan:
    """Return *plan* with the values that refer to rows spelled as these rows are."""
    spelling, notices = Spelling(catalog.rows_with), dict(plan.notices)
    groups: dict[TableName, list[AssetPlan]] = defaultdict(list)
    for asset in plan.assets:
        groups[asset.table].append(asset)
    values = {asset.path: dict(asset.values) for asset in plan.assets}
    for table, group in groups.items():
        tell = partial(notices.__setitem__, str(table))
        spelling.respell(model.name_to_table(table), [values[asset.path] for asset in group], tell)
    assets = tuple(replace(asset, values=values[asset.path]) for asset in plan.assets)
    return replace(plan, assets=assets, notices=notices)
