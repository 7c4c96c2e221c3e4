"""Plans a unit: what becomes of each of its files, by the bulk spec or by its drop folder."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.metadata_order import Reference
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.path_metadata import questions
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.unit import Unit
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.pipeline.drop_plan import plan_drop
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings

Planner = Callable[[Unit, Observation, CatalogModel, Catalog], Plan]
"""Returns what becomes of every file that was seen in a unit."""


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

        Raises UnusableSpecError, and what `UnitReader.sources` raises.
        """
        settings = self.unit_reader.settings
        if unit.drop:
            return plan_drop(unit.drop, seen, model, catalog, settings.transfer.chunk_bytes)
        vocabulary = model.ml_table("Asset_Type")
        rules = Rules(
            model=model,
            spec=self.specs.spec(model),
            execution=unit.name if unit.is_execution else None,
            asset_types=catalog.terms(vocabulary.full_name) if vocabulary else None,
            markers=frozenset(settings.completion.markers),
            metadata_in_order=settings.files.metadata_order == "sorted",
        )
        sources = self.unit_reader.sources(unit, seen)
        asked = questions(seen, sources, rules)
        found = {each: _found(catalog, each, values) for each, values in asked.items() if values}
        known = {each: values for each, values in found.items() if values is not None}
        return make_plan(seen, sources, replace(rules, known=known))


def _found(catalog: Catalog, where: Reference, values: set[str]) -> frozenset[str] | None:
    """Return those of *values* that a column has; None if we may not read it."""
    try:
        rows = catalog.rows_with(where.table, where.column, sorted(values))
    except RefusedError:
        return None
    return frozenset(str(row[where.column]) for row in rows)
