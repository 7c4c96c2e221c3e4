"""A drop folder, as the operator describes it: a place where programs leave files for a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from deriva_watch.core.completeness.evidence import CompletionPolicy
from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.names import RESERVED

DropUnit = Literal["batch", "directory", "none"]
After = Literal["keep", "move", "delete"]

FILLED: Final = "filled_"  # begins the groups that a compiled pattern has for columns it tells not
MOVED: Final = "uploaded"  # folder in a drop folder that files are moved to by after = "move"
TAKEN: Final = RESERVED | {"RID"}  # names with a meaning of their own in a bulk spec


@dataclass(frozen=True, slots=True)
class Lookup:
    """How the value of a column is found: as the RID of the one row that a query finds.

    Attributes:
        table, column: Where the value is looked for; None where *query* says it.
        value: A template of the pattern's groups, or None with *query*.
        query: A template of a path below the catalog, or None.
    """

    table: str | None = None
    column: str | None = None
    value: str | None = None
    query: str | None = None

    @property
    def template(self) -> str:
        """What of it groups are filled into."""
        return self.query or self.value or ""


@dataclass(frozen=True, slots=True)
class NamedWorkflow:
    """The Workflow that exactly one row describes by name and version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop folder; every attribute is the key of that name of `[[drop]]`.

    Attributes:
        path: The folder, absolute.
        table: The asset table, with its schema where the name alone is not unique.
        pattern: Regular expression that the whole of a path below the folder must fit.
        columns: Constants, or templates of the pattern's groups, by column.
        lookup: By column.
        unit: What becomes one Execution: all files that settle within *batch_s*, a first-level
            directory, or nothing ("none": batches without an Execution).
        workflow: The RID of the Execution's Workflow, or how it is called; None: no Workflow.
        description: Of the Execution.
        markers, quiet_s: As of `[completion]`, which gives them where the folder does not.
        after: What becomes of a file once it is verified, *after_delay_s* later.
    """

    path: Path
    table: str
    pattern: str
    columns: Mapping[str, Any]
    lookup: Mapping[str, Lookup]
    asset_types: tuple[str, ...]
    unit: DropUnit
    batch_s: float
    workflow: str | NamedWorkflow | None
    description: str | None
    markers: tuple[str, ...]
    quiet_s: float
    after: After
    after_delay_s: float

    def policy(self, general: CompletionPolicy) -> CompletionPolicy:
        """Return when files of this folder count as complete, given *general*, `[completion]`."""
        return replace(
            general,
            markers=self.markers,
            quiet_s=self.quiet_s,
            quiet_max_s=max(self.quiet_s, general.quiet_max_s),
            quiet_after_signal_s=min(self.quiet_s, general.quiet_after_signal_s),
        )

    def is_unit(self, name: str) -> bool:
        """Tell whether a first-level directory may be a unit: it is none of our own."""
        ours = name.startswith(OWN_PREFIX) or (name == MOVED and self.after == "move")
        return self.unit == "directory" and not ours

    def is_moved(self, path: str) -> bool:
        """Tell whether a file at *path* below the folder was moved there after its upload."""
        return self.after == "move" and path.startswith(f"{MOVED}/")
