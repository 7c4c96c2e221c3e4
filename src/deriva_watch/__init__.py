"""deriva-watch: uploads complete execution directories to a Deriva catalog.

The names below are its library. Each is imported when it is first used, so that `import
deriva_watch` costs nothing: neither deriva nor a web stack.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from deriva_watch.core.errors import DerivaMLException
    from deriva_watch.core.spec.bulk_spec import asset_table_upload_spec, bulk_upload_configuration
    from deriva_watch.core.values import NULL_SENTINEL
    from deriva_watch.library.asset import upload_asset
    from deriva_watch.library.deriva_model import DerivaModel
    from deriva_watch.library.directory import upload_directory
    from deriva_watch.library.null_sentinel import NullSentinelProcessor
    from deriva_watch.library.progress import FileUploadState, UploadProgress, UploadState
    from deriva_watch.library.staging import (
        asset_file_path,
        asset_root,
        asset_type_path,
        execution_rids,
        execution_root,
        flat_asset_dir,
        manifest_path,
        normalize_asset_dir,
        table_path,
        upload_root,
        upload_staging_root,
    )

__all__ = [
    "NULL_SENTINEL",
    "DerivaMLException",
    "DerivaModel",
    "FileUploadState",
    "NullSentinelProcessor",
    "UploadProgress",
    "UploadState",
    "asset_file_path",
    "asset_root",
    "asset_table_upload_spec",
    "asset_type_path",
    "bulk_upload_configuration",
    "execution_rids",
    "execution_root",
    "flat_asset_dir",
    "manifest_path",
    "normalize_asset_dir",
    "table_path",
    "upload_asset",
    "upload_directory",
    "upload_root",
    "upload_staging_root",
]

_HOMES: Final = {
    "DerivaMLException": "core.errors",
    "DerivaModel": "library.deriva_model",
    "FileUploadState": "library.progress",
    "NULL_SENTINEL": "core.values",
    "NullSentinelProcessor": "library.null_sentinel",
    "UploadProgress": "library.progress",
    "UploadState": "library.progress",
    "asset_table_upload_spec": "core.spec.bulk_spec",
    "bulk_upload_configuration": "core.spec.bulk_spec",
    "upload_asset": "library.asset",
    "upload_directory": "library.directory",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'library.staging')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
