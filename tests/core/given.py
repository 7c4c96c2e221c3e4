"""What the tests of the core are given: a catalog's model and ways to write cases briefly."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from hypothesis import HealthCheck, settings

from deriva_watch.core.completeness.observation import Entry, Observation
from deriva_watch.core.metadata.metadata_order import Reference
from deriva_watch.core.metadata.sources import Manifest, Sources, Statement
from deriva_watch.core.model import CatalogModel, Column, Schema, Table, TableName, read_model
from deriva_watch.core.plan.candidates import Leftover
from deriva_watch.core.plan.plan import AssetPlan, Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.bulk_spec import bulk_upload_configuration
from deriva_watch.core.spec.spec import Match, Spec

_SCHEMA: Final = Path(__file__).parent.parent / "data" / "model" / "schema.json"
DOCUMENT: Final = json.loads(_SCHEMA.read_text())
MODEL: Final = read_model(DOCUMENT)
SPEC: Final = Spec(bulk_upload_configuration(MODEL))

IMAGE: Final = TableName("demo", "Image")  # metadata: date, time, observation, subject (NOT NULL)
BOX: Final = TableName("demo", "BoundingBox")  # no metadata columns
ASSET: Final = TableName("deriva-ml", "Execution_Asset")

# What real programs called their files; the original pattern took five of these in thirteen.
NAMES: Final = [
    *("with space.txt", "übergröße_日本.txt", "archive.tar.gz", "v1.2.3-model.bin", "SCAN.PNG"),
    *("noextension", "paren(1).txt", "plus+amp&.txt", "percent%41.txt", ".hidden", "trailingdot."),
    *("-implementations.log", f"{'x' * 120}.txt"),
]

RID: Final = "4-AB2C"
ROOT: Final = f"/data/deriva-ml/execution/{RID}"
KNOWN: Final = {  # the catalog's rows that paths may name
    Reference(TableName("demo", "Subject"), "RID"): frozenset({"4T6"}),
    Reference(TableName("demo", "Observation"), "RID"): frozenset({"4TE", "a/b"}),
}
RULES: Final = Rules(
    MODEL,
    SPEC,
    RID,
    frozenset({"Image", "Model_File", "Thumb Nail"}),
    frozenset({".complete"}),
    known=KNOWN,
)

# The first text that Hypothesis draws on a machine costs seconds; disks and neighbours are slow.
patient: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TREE: Final = "asset/demo/Image/2026-03-04/__NULL__/__NULL__/4T6"  # the folders of an image
VALUES: Final = {
    "Acquisition_Date": "2026-03-04",
    "Acquisition_Time": None,
    "Observation": None,
    "Subject": "4T6",
}
DESCRIBED: Final = {"Subject": "4T6", "Acquisition_Date": "2026-03-04"}


def asset_table(name: str = "Thing", **types: str) -> Table:
    """Return an asset table of the schema `lab` with nullable metadata columns of *types*."""
    required = [Column(c, "text", nullable=False, has_default=False) for c in ("URL", "MD5")]
    others = {"Filename": "text", "Length": "int8", "Description": "markdown"} | types
    columns = [Column(c, t, nullable=True, has_default=False) for c, t in others.items()]
    rid = Column("RID", "ermrest_rid", nullable=False, has_default=True)
    keys = (frozenset({"RID"}), frozenset({"URL"}))
    return Table(Schema("lab"), name, (rid, *required, *columns), keys, ())


def model_of(*tables: Table) -> CatalogModel:
    """Return a model with these tables and no other."""
    return CatalogModel({table.full_name: table for table in tables})


def entry(path: str, inode: int | None = None, **facts: object) -> Entry:
    """Return an entry; its inode follows from its path unless given."""
    number = crc32(path.encode(errors="surrogateescape")) if inode is None else inode
    return Entry(path, 7, 1_700_000_000_000_000_000, 1, number, **facts)  # type: ignore[arg-type]


def observed(*entries: Entry, root: str = ROOT, **unreadable: str) -> Observation:
    """Return an observation of *entries*."""
    seen = {one.path: one for one in entries}
    return Observation(root, seen, datetime(2026, 1, 2, tzinfo=UTC), unreadable)


def planned(*entries: Entry | str, said: Sources | None = None, rules: Rules = RULES) -> Plan:
    """Return the plan for files that have these names."""
    seen = observed(*(one if isinstance(one, Entry) else entry(one) for one in entries))
    return make_plan(seen, said or Sources(), rules)


def manifest(key: str = "Image/a.png", *, source: str = "the manifest", **facts: Any) -> Sources:
    """Return a manifest with one entry; its table is the first part of *key* unless given."""
    table = facts.pop("table", key.partition("/")[0])
    return Sources(Manifest({key: Statement(source, table, **facts)}, {}))


def workspace(key: str = "Image/a.png", **facts: Any) -> Sources:
    """Return a workspace with one entry."""
    statement = Statement("deriva-ml's workspace", key.partition("/")[0], **facts)
    return Sources(workspace={key: statement})


def only_asset(plan: Plan) -> AssetPlan:
    """Return the asset of a plan that has one answer."""
    assert plan.leftovers == ()
    (asset,) = plan.assets
    return asset


def only_leftover(plan: Plan) -> Leftover:
    """Return what is left over in a plan that has one answer; it says all a person needs."""
    assert plan.assets == ()
    (left,) = plan.leftovers
    assert left.what
    assert left.why
    assert left.next
    return left


def taken(path: str, spec: Spec = SPEC) -> Match:
    """Return what takes *path*."""
    match = spec.match(path)
    assert match is not None, path
    return match
