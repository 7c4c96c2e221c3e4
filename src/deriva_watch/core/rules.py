"""What a plan is made by, beside the files: what was said of them, and what the catalog wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deriva_watch.core.drop_values import Dropped
from deriva_watch.core.metadata_order import Known
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.sources import FeatureRecord, Manifest, Statement
from deriva_watch.core.spec import Spec


@dataclass(frozen=True, slots=True)
class Sources:
    """What was said beside the paths.

    Attributes:
        manifest: The execution's manifest, or None.
        workspace: Statements of deriva-ml's workspace database by "<Table>/<file>".
        types: Asset types by table and file name, from asset-type/.
        notices: Sentences about sources that could not be read in full, by path.
        features: Feature records of deriva-ml's workspace by the table that it names.
        columns: By table, the order of the metadata columns in paths, where `asset_file_path` left
            word of it.
    """

    manifest: Manifest | None = None
    workspace: Mapping[str, Statement] = field(default_factory=dict)
    types: Mapping[TableName, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, tuple[FeatureRecord, ...]] = field(default_factory=dict)
    columns: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan is made by.

    Attributes:
        model, spec: Of the catalog.
        execution: The execution whose directory it is; None: only the bulk spec counts.
        asset_types: The terms that may be asset types, None where there is no such vocabulary.
        markers: Names of files by which a writer says that it is done.
        metadata_in_order: Every path has its metadata in the order of the columns.
        drop: The drop folder that the files lie in; None: they are an execution's.
        known: Those values that the catalog has, of what paths may refer to.
    """

    model: CatalogModel
    spec: Spec
    execution: str | None
    asset_types: frozenset[str] | None
    markers: frozenset[str] = frozenset()
    metadata_in_order: bool = False
    drop: Dropped | None = None
    known: Known = field(default_factory=dict)
