"""`upload_asset`: one file into an asset table."""

import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.errors import DerivaMLException
from deriva_watch.core.layout import LOOSE, ROOT
from deriva_watch.core.metadata.agreement import checked_values
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.patterns import TooSlowError
from deriva_watch.core.plan.candidates import Leftover, refused
from deriva_watch.core.plan.plan import AssetPlan, Plan
from deriva_watch.core.unit import Unit
from deriva_watch.core.values import NULL_SENTINEL
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.library.connection import Model, Target, explained
from deriva_watch.library.part_upload import PartUploader
from deriva_watch.library.parts import Part
from deriva_watch.pipeline.unit_planner import spec_source
from deriva_watch.pipeline.unit_reader import UnitReader
from deriva_watch.settings.model import Settings


def upload_asset(model: Model, file: Path | str, table: Any, **kwargs: Any) -> dict[str, Any]:
    """Upload a file as an asset, and return its row.

    If a row with the same content, name and metadata exists, it is returned, and nothing is sent.
    If one of them differs, a new version and row are made. A large file that an earlier call with
    the same arguments sent in part continues where it stopped.

    Args:
        model: `DerivaModel`, or deriva-ml's own; its `catalog` has scheme, host and credentials.
        file: The file.
        table: The asset table, or its name.
        kwargs: Values of further columns: metadata, Description, RID.

    Raises:
        DerivaMLException: It could not be uploaded; the message says why.
    """
    path = Path(os.path.abspath(file))  # noqa: PTH100  # resolving would change its name
    found = model.name_to_table(table)
    if not model.is_asset(found):
        raise DerivaMLException(f"table {found.name} is not an asset table")
    if not path.is_file():
        raise DerivaMLException(f"cannot upload {path}: there is no such file")
    name = TableName(found.schema.name, found.name)
    further = {column.name for column in found.columns} & {"Description", "RID"}
    columns = set(model.asset_metadata(found)) | further
    if not kwargs.keys() <= columns:
        given, known = (", ".join(map(repr, sorted(each))) for each in (kwargs, columns))
        raise DerivaMLException(f"{given} does not fit {name}: its columns are {known}")
    said = sorted((column, repr(value)) for column, value in kwargs.items())
    target = Target.of(model, ["asset", path, name, said])
    return _upload(target, path, name, kwargs)


def _upload(
    target: Target, path: Path, table: TableName, said: Mapping[str, Any]
) -> dict[str, Any]:
    part = Part(Unit(Path(os.path.realpath(path.parent)), LOOSE), named=True)
    planner = _AssetPlanner(spec_source(target.settings), path.name, table, said)
    opened = target.opened(
        lambda _event: None,
        threading.Event(),
        lambda *_: None,
        plan=lambda _unit, seen, model, _catalog: planner.plan(seen, model),
        unit_reader=_reader_of(path.name, target.settings),
    )
    with explained(str(path)), opened as (server, parts):
        server.session()
        outcome = PartUploader.of(parts, lambda _part: planner.latest).upload(part)
    if outcome.failures:
        raise DerivaMLException(f"cannot upload {path}: {outcome.failures[0].why}")
    # It is in the catalog: the journal is no longer needed.
    shutil.rmtree(target.settings.state_directory, ignore_errors=True)
    row: dict[str, Any] = outcome.results[str(part.root / path.name)].result
    return row


def _reader_of(name: str, settings: Settings) -> UnitReader:
    """Return a reader for which a unit is the one file of that name, even if it is ignored."""
    return UnitReader(settings, lambda _unit: [name], ignores=False)


@dataclass(slots=True)
class _AssetPlanner:
    """Plans one file, from what the caller said about it.

    Attributes:
        latest: The latest plan, None before the first.
    """

    specs: SpecSource
    name: str
    table: TableName
    columns: Mapping[str, Any]
    latest: Plan | None = None

    def plan(self, seen: Observation, model: CatalogModel) -> Plan:
        """Return the plan for the file; a `Planner`."""
        answer = self._answer(seen, model)
        if isinstance(answer, Leftover):
            self.latest = Plan((), (answer,), {})
        else:
            self.latest = Plan((answer,), (), {})
        return self.latest

    def _answer(self, seen: Observation, model: CatalogModel) -> AssetPlan | Leftover:
        entry = seen.entries[self.name]
        if entry.kind is not Kind.CONTENT:
            return refused(entry, str(entry.problem), "Name a regular file.")
        metadata = {c: v for c, v in self.columns.items() if c not in {"Description", "RID"}}
        table = model.name_to_table(self.table)
        try:
            values = checked_values(model, table, metadata)
        except ValueError as error:
            return refused(entry, str(error), "Correct the value.")
        nulls = f"{NULL_SENTINEL}/" * len(values)
        virtual = f"/{ROOT}/execution/0/asset/{self.table.schema}/{self.table.table}/{nulls}"
        try:
            match = self.specs.spec(model).match(virtual + self.name)
        except TooSlowError as error:
            return refused(entry, error.why, error.next)
        if match is None:
            return refused(
                entry, f"no mapping takes files of {self.table}", "Choose another table."
            )
        return AssetPlan(
            entry=entry,
            also=(),
            match=match,
            values=values,
            types=(),
            description=self.columns.get("Description"),
            given_rid=self.columns.get("RID"),
            key=f"{self.table.table}/{self.name}",
            recorded=False,
        )
