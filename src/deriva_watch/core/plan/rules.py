"""The inputs of a plan beside the files: settings, bulk spec and catalog."""

from dataclasses import dataclass, field

from deriva_watch.core.drop.drop_values import Dropped
from deriva_watch.core.metadata.metadata_order import Known
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.spec.spec import Spec


@dataclass(frozen=True, slots=True)
class Rules:
    """The inputs of a plan beside the files.

    Attributes:
        model, spec: Of the catalog.
        execution: RID of the execution whose directory it is; None: only the bulk spec counts.
        asset_types: The terms that may be asset types; None if there is no such vocabulary, or
            nothing has a type.
        markers: Names of files by which a writer says that the directory is complete.
        metadata_in_order: Every path has its metadata in the order of the columns.
        drop: The drop folder of the files; None: they belong to an execution.
        known: The values that exist in the catalog, of those that paths may refer to.
    """

    model: CatalogModel
    spec: Spec
    execution: str | None
    asset_types: frozenset[str] | None
    markers: frozenset[str] = frozenset()
    metadata_in_order: bool = False
    drop: Dropped | None = None
    known: Known = field(default_factory=dict)
