"""The places where programs and instruments put their files, and what they say of them there.

The paths of executions come from `deriva_watch.library.staging`, as in a program that writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from deriva_watch.core.layout import TYPED_TABLES
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.demo import instruments
from deriva_watch.library import staging

BATCH: Final = "batch-"  # how the name of a batch begins; the rest is the daemon's


@dataclass(frozen=True, slots=True)
class Asset:
    """What a program says of a file: the row it shall have, its asset types, its description."""

    name: str
    table: TableName
    types: tuple[str, ...]
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an execution writes.

    Attributes:
        prefix: The folder that holds `deriva-ml/`, or a drop folder.
        rid: Of its row; the name of the unit in a drop folder.
        model: The catalog's.
    """

    prefix: Path
    rid: str
    model: CatalogModel


class Layout(Protocol):
    """One way to lay out what belongs to an execution.

    Attributes:
        folder: The name of the prefix or of the drop folder.
        unit: The name of the unit in a drop folder; "" where there is an Execution beforehand.
    """

    folder: ClassVar[str]
    unit: ClassVar[str]

    def root(self, desk: Desk) -> Path:
        """Return the directory that the paths of its files begin in."""
        ...

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies; its directory is there."""
        ...

    def register(self, desk: Desk, asset: Asset) -> None:
        """Say what the path does not."""
        ...


class _Execution:
    """An execution directory of deriva-ml."""

    folder: ClassVar[str] = "data"
    unit: ClassVar[str] = ""

    def root(self, desk: Desk) -> Path:
        """Return the execution directory."""
        return staging.execution_root(desk.prefix, desk.rid)


class Flat(_Execution):
    """`assets/<Table>/<file>`; everything else stands in asset-manifest.json."""

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies."""
        return staging.flat_asset_dir(desk.prefix, desk.rid, asset.table.table) / asset.name

    def register(self, desk: Desk, asset: Asset) -> None:
        """Add an entry to the manifest; nobody ever sees half of one."""
        path = staging.manifest_path(desk.prefix, desk.rid)
        empty: dict[str, Any] = {"version": 1, "execution_rid": desk.rid, "assets": {}}
        manifest = json.loads(path.read_text()) if path.exists() else empty
        manifest["assets"][f"{asset.table.table}/{asset.name}"] = {
            "asset_table": asset.table.table,
            "schema": asset.table.schema,
            "asset_types": asset.types,
            "metadata": asset.metadata,
            "description": asset.text,
            "status": "pending",
            "rid": None,
            "uploaded_at": None,
            "error": None,
        }
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(manifest, indent=1))
        draft.replace(path)


class Tree(_Execution):
    """`asset/<schema>/<table>/<metadata…>/<file>`; the types stand in asset-type/."""

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies."""
        table = desk.model.name_to_table(asset.table)
        return staging.asset_file_path(desk.prefix, desk.rid, table, asset.name, asset.metadata)

    def register(self, desk: Desk, asset: Asset) -> None:
        """Add a line to the table's file of asset types."""
        table = desk.model.name_to_table(asset.table)
        with staging.asset_type_path(desk.prefix, desk.rid, table).open("a") as types:
            types.write(json.dumps({asset.name: asset.types}) + "\n")


class Typed(_Execution):
    """`execution-asset/<type>/<file>` and `execution-metadata/<type>/<file>`: the path says all."""

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies."""
        kind = next(kind for kind, name in TYPED_TABLES.items() if name == asset.table)
        root = staging.execution_root(desk.prefix, desk.rid)
        folder = root / f"execution-{kind}" / asset.types[0]
        folder.mkdir(parents=True, exist_ok=True)
        return folder / asset.name

    def register(self, desk: Desk, asset: Asset) -> None:
        """Say nothing more."""


class _Instrument:
    """A folder that an instrument writes into: the path says all."""

    def register(self, desk: Desk, asset: Asset) -> None:
        """Say nothing more: it does not know how."""


class Scans(_Instrument):
    """`<subject>/<date>/<image>` of a scanner: what comes within a while is one execution."""

    folder: ClassVar[str] = "scanner"
    unit: ClassVar[str] = BATCH
    subjects: ClassVar = {f"1-S00{number}": f"subject-{number}" for number in (1, 2, 3)}

    def root(self, desk: Desk) -> Path:
        """Return the drop folder."""
        return desk.prefix

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the image lies."""
        subject = self.subjects[str(asset.metadata["Subject"])]
        folder = desk.prefix / subject / str(asset.metadata["Acquisition_Date"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder / asset.name


class SequencerRun(_Instrument):
    """`<run>/…` of a sequencer: each folder is one execution."""

    folder: ClassVar[str] = "sequencer"
    unit: ClassVar[str] = instruments.RUN

    def root(self, desk: Desk) -> Path:
        """Return the folder of the run."""
        return desk.prefix / desk.rid

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies: base calls in a folder for each cycle."""
        cycle = asset.metadata["Cycle"]
        name = instruments.basecalls_path(int(cycle)) if cycle else asset.name
        path = self.root(desk) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
