"""What lies below an execution directory: one table, a row per known shape.

It parses paths and creates nothing: a watcher that made directories would write into the tree it
watches. The builders that do create them are in `staging`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from deriva_watch.core.model import ML_SCHEMA

ROOT: Final = "deriva-ml"  # the folder below the prefix
TABLES: Final = f"{ROOT}/table"  # rows of tables outside any execution
LOOSE: Final = "."  # a folder whose files are uploaded by the bulk spec alone
MANIFEST: Final = "asset-manifest.json"
COLUMNS: Final = ".columns.json"  # the order of the metadata in the paths beside it


RID: Final = re.compile("[0-9A-HJKMNP-TV-Z]+(-[0-9A-HJKMNP-TV-Z]+)*")  # of ERMrest


def is_execution(rid: str) -> bool:
    """Return True if a journal's *rid* names an execution, and not `TABLES` or `LOOSE`."""
    return rid not in {TABLES, LOOSE}


class Located(NamedTuple):
    """The execution directory, or the tables, that a path belongs to.

    Attributes:
        prefix: The folder that holds `deriva-ml/`.
        rid: The execution, or `TABLES`.
        below: The rest of the path; "" for the directory itself.
    """

    prefix: str
    rid: str
    below: str


_LOCATED: Final = re.compile(
    # An uploader's own folder of links is not a prefix.
    rf"(?P<prefix>.*)(?<!/upload-staging)/{re.escape(ROOT)}/(?:execution/(?P<rid>[^/]+)|table)"
    r"(?:/(?P<below>.*))?",
    re.DOTALL,
)


def locate(path: str) -> Located | None:
    """Return which execution directory, or tables, an absolute path is in; None: neither."""
    found = _LOCATED.fullmatch(path)
    if found is None:
        return None
    return Located(found["prefix"] or "/", found["rid"] or TABLES, found["below"] or "")


def label_of(rid: str) -> str:
    """Return the name in sentences of the directory that a journal's *rid* names."""
    return f"execution {rid}" if is_execution(rid) else {LOOSE: "the folder"}.get(rid, rid)


class Shape(StrEnum):
    """The role of a file by its path."""

    ASSET_TREE = "asset tree"  # asset/<schema>/<table>/<metadata…>/[<RID>/]<file>
    FLAT = "flat asset"  # assets/<Table>/<file>, metadata in manifest or workspace database
    FEATURE_ASSET = "feature asset"  # feature/<schema>/<table>/<feature>/asset/<Table>/<file>
    FEATURE = "feature values"  # feature/<schema>/<table>/<feature>/<feature>.jsonl
    TYPED = "typed asset"  # execution-asset/<type>/<file>, execution-metadata/<type>/<file>
    ASSET_TYPES = "asset types"  # asset-type/<schema>/<table>.jsonl
    COLUMNS = "order of metadata"  # asset/<schema>/<table>/.columns.json
    MANIFEST = "manifest"
    OLD_MANIFEST = "migrated manifest"  # superseded and not read
    MARKER = "marker"  # says that the writer has finished the directory


@dataclass(frozen=True, slots=True)
class Place:
    """What the path of a file says.

    Attributes:
        shape: The row of the table that matched.
        part: The named parts of the path: schema, table, type, rest, file.
    """

    shape: Shape
    part: Mapping[str, str]


_TREE: Final = r"(?P<schema>[^/]+)/(?P<table>[^/]+)/(?P<rest>(?:[^/]+/)*)(?P<file>[^/]+)"
_FEATURE: Final = r"feature/(?P<schema>[^/]+)/(?P<table>[^/]+)/(?P<feature>[^/]+)"
_STAGED: Final = r"upload-staging/(?:deriva-ml/execution/[^/]+/)?"

_SHAPES: Final = tuple(
    (shape, re.compile(pattern, re.DOTALL))
    for shape, pattern in (
        (
            Shape.COLUMNS,
            rf"(?:{_STAGED})?asset/(?P<schema>[^/]+)/(?P<table>[^/]+)/{re.escape(COLUMNS)}",
        ),
        (Shape.ASSET_TREE, f"(?:{_STAGED})?asset/{_TREE}"),
        (Shape.FLAT, r"assets/(?P<table>[^/]+)/(?P<file>[^/]+)"),
        (
            Shape.FEATURE_ASSET,
            f"{_FEATURE}/asset/(?P<asset_table>[^/]+)/(?P<file>[^/]+)",
        ),
        (Shape.FEATURE, rf"{_FEATURE}/(?P=feature)\.(?P<format>jsonl|csv)"),
        (Shape.TYPED, r"execution-(?P<kind>asset|metadata)/(?P<type>[^/]+)/(?P<file>[^/]+)"),
        (Shape.ASSET_TYPES, r"asset-type/(?P<schema>[^/]+)/(?P<table>[^/]+)\.jsonl"),
        (Shape.MANIFEST, re.escape(MANIFEST)),
        (Shape.OLD_MANIFEST, r"asset-manifest[^/]*\.migrated\.json"),
    )
)

# execution-asset/ and execution-metadata/ belong to these tables of deriva-ml.
TYPED_TABLES: Final = {
    "asset": (ML_SCHEMA, "Execution_Asset"),
    "metadata": (ML_SCHEMA, "Execution_Metadata"),
}


TYPED_FOLDERS: Final = tuple(f"execution-{kind}/" for kind in TYPED_TABLES)


def place(path: str, markers: frozenset[str] = frozenset()) -> Place | None:
    """Parse *path*, which is below the execution directory; None: no known shape."""
    if path in markers:
        return Place(Shape.MARKER, {})
    for shape, pattern in _SHAPES:
        if match := pattern.fullmatch(path):
            return Place(shape, {k: v for k, v in match.groupdict().items() if v is not None})
    return None


def unstaged(path: str) -> str:
    """Return *path* without an uploader's own folder of links."""
    return re.sub(rf"\A{_STAGED}", "", path)


def records_path(table: str) -> str:
    """Return the pseudo-path of a feature's records in deriva-ml's workspace database.

    No file can have it: the scanner's paths never contain "//".
    """
    return f"workspace://{table}"


def metadata_segments(rest: str) -> list[str]:
    """Return the directories between a table and a file of an asset tree."""
    return rest.split("/")[:-1]
