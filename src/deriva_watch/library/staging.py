"""Path builders for programs that write executions.

They create the directories that they name, so that a program can write at once; the daemon never
calls them. Errors are raised before anything is created.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, Protocol

from deriva_watch.core.errors import DerivaMLException
from deriva_watch.core.layout import COLUMNS, MANIFEST, ROOT, Shape, place
from deriva_watch.core.metadata.metadata_order import columns_text
from deriva_watch.core.model import ASSET_COLUMNS, SYSTEM_COLUMNS
from deriva_watch.core.spec.bulk_spec import TableLike
from deriva_watch.core.values import segment_from

_BELOW_EXECUTION: Final = re.compile(
    rf"(?:.*/)?{re.escape(ROOT)}/execution/[^/]+/(?P<path>.+)", re.DOTALL
)


class ColumnLike(Protocol):
    """A column of any model."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


class AssetTableLike(TableLike, Protocol):
    """A table of any model that has columns: ours, the bindings' or deriva-ml's."""

    @property
    def columns(self) -> Iterable[ColumnLike]:
        """Its columns."""
        ...


def upload_root(prefix: Path | str) -> Path:
    """Return the directory below *prefix* that holds everything to upload; create it."""
    return _made(Path(prefix) / ROOT)


def execution_rids(prefix: Path | str) -> list[str]:
    """Return the RIDs of the execution directories below *prefix*, sorted; create nothing."""
    try:
        return sorted(d.name for d in (Path(prefix) / ROOT / "execution").iterdir() if d.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def execution_root(prefix: Path | str, exec_rid: str) -> Path:
    """Return the directory of an execution; create it.

    Args:
        prefix: The folder that holds `deriva-ml/`.
        exec_rid: RID of the execution.
    """
    return _made(_execution(prefix, exec_rid))


def asset_root(prefix: Path | str, exec_rid: str) -> Path:
    """Return the directory whose paths carry the metadata of assets; create it."""
    return _made(_execution(prefix, exec_rid) / "asset")


def flat_asset_dir(prefix: Path | str, exec_rid: str, asset_table_name: str) -> Path:
    """Return the directory for files of an asset table that the manifest describes; create it.

    Args:
        prefix: The folder that holds `deriva-ml/`.
        exec_rid: RID of the execution.
        asset_table_name: Name of the table, without its schema.
    """
    return _made(_execution(prefix, exec_rid) / "assets" / _segment(asset_table_name))


def upload_staging_root(prefix: Path | str, exec_rid: str) -> Path:
    """Return the directory for links that an uploader arranges for itself; create it."""
    return _made(_execution(prefix, exec_rid) / "upload-staging")


def manifest_path(prefix: Path | str, exec_rid: str) -> Path:
    """Return the path of an execution's asset manifest; create the execution's directory."""
    return execution_root(prefix, exec_rid) / MANIFEST


def table_path(prefix: Path | str, schema: str, table: str) -> Path:
    """Return the path of a CSV file with rows of a table; create its directory.

    Args:
        prefix: The folder that holds `deriva-ml/`.
        schema: Schema of the table.
        table: Name of the table.
    """
    directory = Path(prefix) / ROOT / "table" / _segment(schema) / _segment(table)
    return _made(directory) / f"{table}.csv"


def asset_file_path(
    prefix: Path | str,
    exec_rid: str,
    asset_table: AssetTableLike,
    file_name: str,
    metadata: Mapping[str, Any] | None,
) -> Path:
    """Return the path at which a file becomes an asset with that metadata; create its directory.

    There is a directory for every metadata column of the table, in the order of their names, as
    the bulk spec reads them; `.columns.json` beside them says so. A value that is not
    given is NULL; what cannot stand in a path is percent-encoded, so that every text arrives as it
    is.

    Args:
        prefix: The folder that holds `deriva-ml/`.
        exec_rid: RID of the execution.
        asset_table: The asset table.
        file_name: Name of the file.
        metadata: Values by column.

    Raises:
        DerivaMLException: The table has no such column; a value that no catalog can store, or
            that is too long for a path; a file name that is none.
    """
    given = metadata or {}
    columns = {column.name for column in asset_table.columns} - ASSET_COLUMNS - SYSTEM_COLUMNS
    if not given.keys() <= columns:
        raise DerivaMLException(
            f"metadata {_listed(given)} does not fit {asset_table.name}: "
            f"its metadata columns are {_listed(columns)}"
        )
    order = sorted(columns)
    schema, table = _segment(asset_table.schema.name), _segment(asset_table.name)
    folder = _execution(prefix, exec_rid) / "asset" / schema / table
    segments = [_value_segment(column, given.get(column)) for column in order]
    name = _segment(file_name)
    directory = _made(folder.joinpath(*segments))
    if order and not (folder / COLUMNS).exists():
        _write_columns(folder / COLUMNS, order)
    return directory / name


def asset_type_path(prefix: Path | str, exec_rid: str, asset_table: TableLike) -> Path:
    """Return the path of the file with the asset types of a table's files; create its directory.

    Each line of it is `{"<file name>": ["<type>", …]}`; the last line of a name wins.

    Args:
        prefix: The folder that holds `deriva-ml/`.
        exec_rid: RID of the execution.
        asset_table: The asset table.
    """
    schema, name = _segment(asset_table.schema.name), _segment(asset_table.name)
    return _made(_execution(prefix, exec_rid) / "asset-type" / schema) / f"{name}.jsonl"


def normalize_asset_dir(path: str | Path) -> tuple[str, str] | None:
    """Return "schema/table" and the file name of an asset's path, or None if it is no such path."""
    below = _BELOW_EXECUTION.fullmatch(str(path))
    found = place(below["path"]) if below else None
    if found is None or found.shape is not Shape.ASSET_TREE:
        return None
    return f"{found.part['schema']}/{found.part['table']}", found.part["file"]


def _execution(prefix: Path | str, exec_rid: str) -> Path:
    return Path(prefix) / ROOT / "execution" / _segment(exec_rid)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _write_columns(path: Path, columns: list[str]) -> None:
    """Write the order of the directories into *path*, completely or not at all."""
    with NamedTemporaryFile(  # with a name that is never uploaded
        "w", dir=path.parent, prefix=".", suffix=".tmp", delete=False, encoding="utf-8"
    ) as file:
        file.write(columns_text(columns))
    Path(file.name).chmod(0o644)  # not the writer's alone: the daemon may be another user
    Path(file.name).replace(path)


def _segment(name: str) -> str:
    """Return *name* if it names exactly one thing in a directory."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise DerivaMLException(f"{name!r} cannot be the name of a file or directory")
    return name


def _value_segment(column: str, value: Any) -> str:
    try:
        return segment_from(value)
    except ValueError as error:
        raise DerivaMLException(f"metadata {column}: {error}; give it in {MANIFEST}") from error


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names))) or "none"
