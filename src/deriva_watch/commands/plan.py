"""What an upload would do with files; nothing is written anywhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from deriva_watch.commands.dry_run import ExpectedVerdict, expected_verdict
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError, SettingsError, TroubleError, UnusableSpecError
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.spec.slow_patterns import slow_pattern, slow_patterns
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.unit import Unit
from deriva_watch.edges.journal import open_readonly
from deriva_watch.engine.rows.row_source import Count, count
from deriva_watch.pipeline.connection import connect, read_model
from deriva_watch.pipeline.drop_plan import compiled_for
from deriva_watch.pipeline.ownership import check_ours
from deriva_watch.pipeline.unit_paths import unusable_name
from deriva_watch.pipeline.unit_planner import UnitPlanner, spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Preview:
    """What an upload would do with a unit.

    Attributes:
        plan: The plan.
        spec: The bulk spec that it was made by.
        root: The folder that the paths begin at.
        rows: The contents of its files of rows, by path.
        verdict: Whether the unit is complete.
        label: The name of the unit in sentences.
        is_dropped: Whether it is in a drop folder.
    """

    plan: Plan
    spec: Spec
    root: str
    rows: Mapping[str, Count]
    verdict: ExpectedVerdict
    label: str
    is_dropped: bool


@contextmanager
def previewing(settings: Settings) -> Iterator[Callable[[Unit], Preview | None]]:
    """Yield a function that plans a unit; nothing is written, here or on the server.

    It returns None for a unit that does not exist, and raises RefusedError for one that belongs to
    another catalog.
    """
    with connect(settings) as connection:
        catalog, unit_reader = connection.catalog, UnitReader.of(settings)
        planner = UnitPlanner(unit_reader, spec_source(settings))
        model = read_model(catalog)

        def spec_of(unit: Unit) -> Spec:
            if unit.drop:
                return compiled_for(unit.drop, model, catalog, settings.transfer.chunk_bytes).spec
            return planner.specs.spec(model)

        def preview(unit: Unit) -> Preview | None:
            if error := unusable_name(unit):
                raise error
            seen = unit_reader.look(unit)
            if seen is None:
                return None
            if record := _known(settings, unit):
                unit = settings.unit_of(record)
            check_ours(unit, seen.owner, settings, catalog)
            spec, plan = spec_of(unit), planner.plan(unit, seen, model, catalog)
            disk = unit_reader.directory(unit)
            rows = {each.path: count(disk, each) for each in plan.rows}
            verdict = expected_verdict(unit_reader, catalog, unit, seen, record)
            dropped = unit.drop is not None
            slow = _slow_drop(unit.drop) if unit.drop else slow_patterns(spec)
            plan = replace(plan, notices={**plan.notices, **slow})
            return Preview(plan, spec, seen.root, rows, verdict, unit.label, dropped)

        yield preview


def _known(settings: Settings, unit: Unit) -> ExecutionRecord | None:
    """Return the journal's record of a unit; None if there is none, or it cannot be read."""
    try:
        server = settings.server.name
        return open_readonly(settings.journal.url).find(server, str(unit.prefix), unit.name)
    except TroubleError:
        return None


class Specification(NamedTuple):
    """The bulk spec in force, as it is written; why it cannot be used, and what may be slow."""

    document: Any
    problem: RefusedError | None
    slow: Mapping[str, str]


def specification(settings: Settings, folder: Path | None = None) -> Specification:
    """Return the bulk spec in force.

    With *folder* it is the one that this drop folder is compiled to. Raises UnusableSpecError where
    it cannot be, SettingsError where the settings have no such folder.
    """
    drop = _drop(settings, folder) if folder else None
    with connect(settings) as connection:
        catalog = connection.catalog
        model = read_model(catalog)
        if drop:
            compiled = compiled_for(drop, model, catalog, settings.transfer.chunk_bytes)
            return Specification(compiled.spec.document, None, _slow_drop(drop))
    specs = spec_source(settings)
    problem = None
    try:
        specs.spec(model)
    except UnusableSpecError as error:
        problem = error
    document = specs.document(model)
    return Specification(document, problem, slow_patterns(Spec.read(document)[0]))


def _slow_drop(drop: Drop) -> dict[str, str]:
    why = slow_pattern(Pattern(drop.pattern))
    return {"pattern": why} if why else {}


def _drop(settings: Settings, folder: Path) -> Drop:
    if found := settings.drops.get(folder.absolute()):
        return found
    known = ", ".join(map(str, settings.drops)) or "none"
    raise SettingsError(
        f"{folder} is not a drop folder",
        f"the settings have these: {known}",
        "Name one of them, or add a [[drop]] for it.",
    )
