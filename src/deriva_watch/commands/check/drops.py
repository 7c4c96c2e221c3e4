"""Checks that the drop folders fit the catalog, and that what they name exists there."""

from collections.abc import Iterator

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look
from deriva_watch.core.drop.drop_spec import CompiledDrop, Search, constant
from deriva_watch.core.drop.drop_values import objection
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.spec.slow_patterns import SIMPLER, slow_pattern
from deriva_watch.engine.rows.workflows import workflow_value
from deriva_watch.pipeline.drop_lookups import Lookups
from deriva_watch.pipeline.drop_plan import compiled_for


def drop_folders(look: Look) -> Iterator[Line]:
    """Compile every drop folder for the catalog, and look up what does not depend on a file."""
    for path, drop in look.settings.drops.items():
        about = f"[[drop]] {path}"
        try:
            compiled = compiled_for(
                drop, look.model, look.catalog, look.settings.transfer.chunk_bytes
            )
        except RefusedError as error:
            yield Line.of(about, error)
            continue
        look.drops.append(compiled)
        table = str(compiled.table.full_name)
        facts = {"table": table}
        if missing := list(_missing(look, compiled)):
            then = "Correct the settings, or add what is missing to the catalog, then check again."
            what = "it names what the catalog does not have"
            yield Line.wrong(about, what, "; ".join(missing), then, facts)
        else:
            yield Line(about, f"fits the catalog; its files go to {table}", facts=facts)
        if why := slow_pattern(Pattern(drop.pattern)):
            yield Line.note(about, "its pattern can be slow", why, SIMPLER)


def _missing(look: Look, compiled: CompiledDrop) -> Iterator[str]:
    """Yield things that every file needs and that the catalog lacks, or does not let us read."""
    execution = look.model.ml_table("Execution")
    if compiled.drop.unit != "none" and execution:
        try:
            workflow_value(compiled.drop, look.model, execution, look.catalog)
        except ValueError as error:
            yield f"workflow: {error}"
    rights, lookups = look.catalog.rights(), Lookups(look.catalog, lambda _: None)
    searches = {f"lookup.{name}": search for name, search in compiled.searches.items()}
    searches |= {f"columns.{name}": each for name, each in _references(compiled, look.model)}
    for place, search in searches.items():
        if search.table and rights.lacks("select", search.table):
            yield f"{place}: we may not read {search.table}"
        elif (text := constant(search.template)) is not None:
            answer = lookups.answers(search, [text])[text]
            if why := objection(search, text, answer):
                yield f"{place}: {why}"


def _references(compiled: CompiledDrop, model: CatalogModel) -> Iterator[tuple[str, Search]]:
    """Yield the columns that refer to rows, with the search for the row of a constant."""
    for key in compiled.table.foreign_keys:
        target = model.tables.get(key.target)
        if len(key.columns) == 1 and target and key.columns[0] in compiled.templates:
            name, returns = key.columns[0], key.target_columns[0]
            template = str(compiled.templates[name])
            yield name, Search(template, key.target, target.column[returns], returns)
