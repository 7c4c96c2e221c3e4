"""The two policies of removal: `[[drop]] after` for drop folders, `reclaim` for executions.

They differ in which files may be removed and in what happens to them. The proof is the same for
both (`remover`): right before a file is removed nobody else may have it open for writing, its bytes
must have the digests that were uploaded, and the server must still hold those bytes: its database
says so, and as much of them as `read_back` asks for is read and compared.
"""

from dataclasses import dataclass
from pathlib import Path

from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.layout import ROOT
from deriva_watch.core.read_back import ReadBack
from deriva_watch.core.records import ExecutionRecord


@dataclass(frozen=True, slots=True)
class Policy:
    """Which files of a unit may be removed, and what happens to them.

    Attributes:
        top: Nothing outside of this folder is touched.
        base: Path below *top* that the paths of the unit's files are relative to: "" or "run 7/".
        move: Files are moved to `MOVED` below *top*; otherwise they are deleted.
        whole: The folder *base* belongs to the unit alone: one file that is not in the catalog
            keeps all files of the unit, and folders that become empty are removed.
        markers: Names of files that say "done"; they keep no other file.
        read_back: How much of each object is read back and compared before its file is removed.
        is_execution: It is an execution directory: links in it are further names of its files, its
            own folder stays, and a file that is never removed (a file of rows) keeps no other.
    """

    top: Path
    base: str
    move: bool
    whole: bool
    markers: frozenset[str] = frozenset()
    read_back: ReadBack = "sample"
    is_execution: bool = False

    @property
    def kept_folders(self) -> int:
        """How many folders below *top*, from the outermost, stay although they are empty."""
        return self.base.count("/") if self.is_execution else 0


def reclaim_policy(unit: ExecutionRecord, read_back: ReadBack = "sample") -> Policy:
    """Return the policy for an execution directory."""
    base, top = f"{ROOT}/execution/{unit.rid}/", Path(unit.prefix)
    return Policy(top, base, move=False, whole=True, read_back=read_back, is_execution=True)


def policy_of(unit: ExecutionRecord, drop: Drop | None) -> Policy:
    """Return the policy for a unit; *drop* is None where the settings no longer name its folder."""
    if unit.unit is None:
        return reclaim_policy(unit)
    whole = unit.unit == "directory"
    move = drop is None or drop.after == "move"
    return Policy(
        top=Path(unit.prefix),
        base=f"{unit.rid}/" if whole else "",
        move=move,
        whole=whole,
        markers=frozenset(drop.markers if drop else ()),
        read_back="none" if move or drop is None else drop.read_back,  # a moved file is not lost
    )
