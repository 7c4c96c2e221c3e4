"""Plans the files of a drop folder. Its look-ups go to the catalog in bulk, each value once."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.drop.drop_spec import CompiledDrop, Search, compile_drop
from deriva_watch.core.drop.drop_values import Answer, Dropped, questions
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.plan.candidates import Leftover, unusable
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.states import FileTrigger
from deriva_watch.core.values import check, meaning
from deriva_watch.edges.server.catalog import LONGEST_PATH_BYTES
from deriva_watch.engine.ports import Catalog, Row

_SHOWN: Final = 80  # characters of what is too long


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
    terms = _terms(model, catalog)
    compiled = compile_drop(drop, model, terms, chunk_bytes)
    answers = {
        column: _answers(compiled.searches[column], asked, catalog)
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
    return make_plan(seen, Sources(), rules)


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


def _answers(search: Search, asked: Iterable[str], catalog: Catalog) -> dict[str, Answer]:
    if search.table is None or search.by is None:
        return {path: _by_query(path, search.returns, catalog) for path in asked}
    values, answers = {}, {}
    for text in sorted(asked):
        if _is_long(text):
            answers[text] = Answer(problem=f"{text[:_SHOWN]!r}… is too long for a request")
            continue
        try:
            values[text] = check(search.by, text)
        except ValueError as error:
            answers[text] = Answer(problem=str(error))
    try:
        rows = catalog.rows_with(search.table, search.by.name, values.values()) if values else []
    except RefusedError as error:
        return answers | dict.fromkeys(values, Answer(problem=f"{error.what}: {error.why}"))
    found: dict[Hashable, list[str]] = defaultdict(list)
    for row in rows:
        found[meaning(search.by, row[search.by.name])] += _told(row, search.returns)
    return answers | {
        text: Answer(tuple(found[meaning(search.by, value)])) for text, value in values.items()
    }


def _is_long(text: str) -> bool:
    """Return whether a request would be too long: the server would refuse all values in it."""
    return len(quote(text, safe="")) > LONGEST_PATH_BYTES // 2


def _by_query(path: str, returns: str, catalog: Catalog) -> Answer:
    if len(path) > LONGEST_PATH_BYTES:
        return Answer(problem=f"the query {path[:_SHOWN]}… is too long")
    try:
        rows = catalog.query(path if "?" in path else f"{path}?limit=2")  # two are too many
    except RefusedError as error:
        return Answer(problem=f"{error.what}: {error.why}")
    return Answer(tuple(value for row in rows for value in _told(row, returns)))


def _told(row: Row, returns: str) -> list[str]:
    """Return the value of a column in a list, which is empty for NULL and for an unknown column."""
    return [] if row.get(returns) is None else [str(row[returns])]
