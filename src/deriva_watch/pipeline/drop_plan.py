"""Plans the files of a drop folder."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.drop.drop_spec import CompiledDrop, compile_drop
from deriva_watch.core.drop.drop_values import Dropped, questions
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.candidates import Leftover, unusable
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.states import FileTrigger
from deriva_watch.engine.ports import Catalog
from deriva_watch.pipeline.drop_lookups import Lookups


def compiled_for(
    drop: Drop, model: CatalogModel, catalog: Catalog, chunk_bytes: int
) -> CompiledDrop:
    """Return the drop folder compiled to a bulk spec; UnusableSpecError lists all its mistakes."""
    return compile_drop(drop, model, _terms(model, catalog), chunk_bytes)


def plan_drop(
    drop: Drop, seen: Observation, model: CatalogModel, catalog: Catalog, chunk_bytes: int
) -> Plan:
    """Return the plan for every file *seen* in a unit of a drop folder, or in all of it."""
    if seen.root == str(drop.path):
        if drop.unit == "directory":
            return Plan((), tuple(_beside(drop, seen)), {})
        own = {path: entry for path, entry in seen.entries.items() if not drop.is_moved(path)}
        seen = replace(seen, entries=own)
    terms = _terms(model, catalog) if drop.asset_types else None
    compiled = compile_drop(drop, model, terms, chunk_bytes)
    notices: dict[str, str] = {}
    answers = {
        column: Lookups(catalog, partial(notices.setdefault, column)).answers(
            compiled.searches[column], asked
        )
        for column, asked in questions(seen, compiled).items()
    }
    rules = Rules(
        model=model,
        spec=compiled.spec,
        execution=None,
        asset_types=terms,
        markers=frozenset(drop.markers),
        drop=Dropped(compiled, answers),
    )
    return make_plan(seen, Sources(notices=notices), rules)


def _beside(drop: Drop, seen: Observation) -> Iterator[Leftover]:
    """Yield the files that are in no unit, because they are in no directory."""
    for path, entry in sorted(seen.entries.items()):
        if "/" not in path and path not in drop.markers:
            yield unusable(entry) or Leftover(
                path, entry, FileTrigger.UNMATCHED, f"{path} is not uploaded",
                'it is beside the directories, but unit = "directory" uploads only these',
                'Move it into a directory, or set unit = "batch".',
            )  # fmt: skip


def _terms(model: CatalogModel, catalog: Catalog) -> frozenset[str] | None:
    vocabulary = model.ml_table("Asset_Type")
    return catalog.terms(vocabulary.full_name) if vocabulary else None
