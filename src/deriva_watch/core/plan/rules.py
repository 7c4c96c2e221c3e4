"""What a plan is made by, beside the files: what was said of them, and what the catalog wants."""

from dataclasses import dataclass, field

from deriva_watch.core.drop.drop_values import Dropped
from deriva_watch.core.metadata.metadata_order import Known
from deriva_watch.core.model import CatalogModel
from deriva_watch.core.spec.spec import Spec


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
