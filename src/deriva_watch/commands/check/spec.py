"""Checks that the bulk spec fits the catalog, and that the terms that uploads need exist."""

from collections.abc import Callable, Iterator
from typing import Final

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look
from deriva_watch.core.model import ML_SCHEMA, TableName
from deriva_watch.core.spec.slow_patterns import SIMPLER, slow_patterns
from deriva_watch.engine.rows.rows import OUTPUT_ROLE
from deriva_watch.pipeline.finalize import UPLOADED

_SOURCES: Final = {
    "model": "made from the catalog's model",
    "catalog": "the catalog's annotation",
}
_ROLE: Final = TableName(ML_SCHEMA, "Asset_Role")


def bulk_spec(look: Look) -> Iterator[Line]:
    """Check the bulk spec against the model."""
    look.spec = look.specs.spec(look.model)
    said = look.settings.spec
    count = len(look.spec.mappings)
    facts = {"source": said.source, "file": said.file, "mappings": count}
    what = f"{_SOURCES.get(said.source) or said.file}; {count} mappings, all fit the catalog"
    yield Line("bulk spec", what, facts=facts)
    for place, why in slow_patterns(look.spec).items():
        yield Line.note("bulk spec", place, why, SIMPLER)


def roles(look: Look) -> Iterator[Line]:
    """Check for the role with which files are linked to their execution."""
    if _ROLE not in look.model.tables:
        return
    why = "files are linked to their execution with that role: each link will be refused"
    yield _term(look, Line.wrong, "roles", _ROLE, OUTPUT_ROLE, why)


def statuses(look: Look) -> Iterator[Line]:
    """Check for the Status that an uploaded execution gets."""
    execution = look.model.ml_table("Execution")
    keys = execution.foreign_keys if execution else ()
    words = next((key.target for key in keys if key.columns == ("Status",)), None)
    if words is None:
        return
    why = "the Status of executions is not updated after an upload"
    yield _term(look, Line.note, "statuses", words, UPLOADED, why)


def asset_types(look: Look) -> Iterator[Line]:
    """Check that there are asset types."""
    vocabulary = look.model.ml_table("Asset_Type")
    if vocabulary is None:
        return
    about = "asset types"
    known = sorted(look.catalog.terms(vocabulary.full_name))
    facts = {"terms": known}
    if known:
        yield Line(about, f"{vocabulary.full_name} has {len(known)} terms", facts=facts)
    else:
        why = "files with an asset type will be refused"
        yield Line.note(
            about,
            f"{vocabulary.full_name} has no terms",
            why,
            "Ask a curator of the catalog to add some.",
            facts,
        )


def _term(  # noqa: PLR0913, PLR0917  # what is needed, and what it means without
    look: Look, lack: Callable[..., Line], about: str, table: TableName, term: str, why: str
) -> Line:
    known = look.catalog.terms(table)
    facts = {"terms": sorted(known)}
    if term in known:
        return Line(about, f"{table} has {term}", facts=facts)
    then = f"Ask a curator of the catalog to add the term {term}."
    return lack(about, f"{table} has no {term}", why, then, facts)
