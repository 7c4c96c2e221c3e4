"""The places where programs put the files of an execution, and what they say of them there.

The paths come from `deriva_watch.staging`, as in a program that writes executions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from deriva_watch import staging
from deriva_watch.core.layout import TYPED_TABLES
from deriva_watch.core.model import CatalogModel, TableName


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
    """Where an execution writes."""

    prefix: Path
    rid: str
    model: CatalogModel


class Layout(Protocol):
    """One way to lay out an execution directory."""

    def path(self, desk: Desk, asset: Asset) -> Path:
        """Return where the file lies; its directory is there."""
        ...

    def register(self, desk: Desk, asset: Asset) -> None:
        """Say what the path does not."""
        ...


class Flat:
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


class Tree:
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


class Typed:
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
