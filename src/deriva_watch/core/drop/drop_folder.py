"""A drop folder, as the operator describes it: a place where programs leave files for a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from deriva_watch.core.completeness.observation import OWN_PREFIX
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.names import RESERVED
from deriva_watch.core.read_back import ReadBack

DropUnit = Literal["batch", "directory", "none"]
After = Literal["keep", "move", "delete"]

FILLED: Final = "filled_"  # prefix of groups in a compiled pattern for columns without a group
MOVED: Final = "uploaded"  # folder in a drop folder that files are moved to by after = "move"
TAKEN: Final = RESERVED | {"RID"}  # names with a meaning of their own in a bulk spec


@dataclass(frozen=True, slots=True)
class Lookup:
    """How the value of a column is looked up: as the RID of the only row that a query finds.

    Attributes:
        table, column: Where to find the value; None if *query* is given.
        value: A template of the pattern's groups, or None with *query*.
        query: A template of a path below the catalog, or None.
    """

    table: str | None = None
    column: str | None = None
    value: str | None = None
    query: str | None = None

    @property
    def template(self) -> str:
        """The template that is filled with the groups."""
        return self.query or self.value or ""


@dataclass(frozen=True, slots=True)
class NamedWorkflow:
    """A Workflow by name and version; exactly one row must have them."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop folder; every attribute is the key of that name of `[[drop]]`.

    Attributes:
        path: The folder, absolute.
        table: The asset table, with its schema if the name alone is not unique.
        pattern: Regular expression that must match the whole path below the folder.
        columns: Constants, or templates of the pattern's groups, by column.
        lookup: By column.
        unit: What becomes one Execution: all files that settle within *batch_s*, a first-level
            directory, or nothing ("none": batches without an Execution).
        workflow: The Execution's Workflow, by RID or name; None: no Workflow.
        description: Of the Execution.
        markers, quiet_s: Of the folder, else those of `[completion]`.
        after: What to do with a file, *after_delay_s* after its upload.
        read_back: How much of its object is read back before it is deleted.
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
    read_back: ReadBack = "sample"

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
        """Return True if a first-level directory may be a unit, and is not one of our own."""
        ours = name.startswith(OWN_PREFIX) or (name == MOVED and self.after == "move")
        return self.unit == "directory" and not ours

    def is_moved(self, path: str) -> bool:
        """Return True if a file at *path* below the folder was moved there after its upload."""
        return self.after == "move" and path.startswith(f"{MOVED}/")
