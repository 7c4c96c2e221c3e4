"""A unit: the files that are uploaded together, and whose progress the journal records as one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deriva_watch.core.completeness.evidence import partial_paths
from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.layout import LOOSE, ROOT, TABLES


class UnitKind(StrEnum):
    """What the files of a unit have in common."""

    EXECUTION = "execution directory"  # <prefix>/deriva-ml/execution/<RID>
    TABLES = "tables"  # <prefix>/deriva-ml/table: rows that belong to no execution
    DIRECTORY = "directory of a drop folder"
    BATCH = "batch of a drop folder"
    LOOSE = "loose files"  # all of a drop folder, or of a folder that is none of the above


@dataclass(frozen=True, slots=True)
class Unit:
    """Where a unit is and what it is. Two units are equal if prefix and name are.

    `Settings.unit` makes one from its prefix and name, `Settings.unit_of` from a record.

    Attributes:
        prefix: The folder that holds `deriva-ml/`, or the drop folder.
        name: The RID of the execution, the name of the batch or directory, `TABLES` or `LOOSE`.
        drop: The drop folder that it is in, None for deriva-ml's own directories.
        confirmed: A person said that it belongs to this catalog (`retry --this-catalog`).
    """

    prefix: Path
    name: str
    drop: Drop | None = field(default=None, compare=False)
    confirmed: bool = field(default=False, compare=False)

    @property
    def kind(self) -> UnitKind:
        """What kind of unit it is."""
        if self.name == LOOSE:
            return UnitKind.LOOSE
        if self.drop:
            return UnitKind.DIRECTORY if self.drop.unit == "directory" else UnitKind.BATCH
        return UnitKind.TABLES if self.name == TABLES else UnitKind.EXECUTION

    @property
    def is_execution(self) -> bool:
        """Whether it is an execution directory."""
        return self.kind is UnitKind.EXECUTION

    @property
    def is_shared(self) -> bool:
        """Whether many users may put their files into its folder, as into a drop folder."""
        return self.kind in {UnitKind.BATCH, UnitKind.LOOSE}

    @property
    def root(self) -> Path:
        """The folder that the paths of its files begin at."""
        if self.is_execution:
            return self.prefix / ROOT / "execution" / self.name
        return self.prefix if self.kind is UnitKind.BATCH else self.prefix / self.name

    @property
    def parent(self) -> Path:
        """The folder that must exist before a missing unit counts as deleted."""
        return self.prefix if self.drop else self.root.parent

    def policy(self, general: CompletionPolicy) -> CompletionPolicy:
        """Return when it counts as complete, given *general*, `[completion]`."""
        return self.drop.policy(general) if self.drop else general

    def partial_paths(self, seen: Observation, patterns: Sequence[str]) -> list[str]:
        """Return the files of *seen* that are partial by name.

        A directory of a drop folder may itself have the name of a transfer in progress, such as
        "run 7.part": then all its files are partial.
        """
        own_name = self.name if self.kind is UnitKind.DIRECTORY else None
        return partial_paths(seen, patterns, own_name)

    @property
    def label(self) -> str:
        """What a sentence calls it."""
        if self.drop:
            folder = f"the drop folder {self.prefix}"
            return folder if self.name == LOOSE else f"{self.name} of {folder}"
        if self.is_execution:
            return f"execution {self.name}"
        return "the folder" if self.name == LOOSE else self.name
