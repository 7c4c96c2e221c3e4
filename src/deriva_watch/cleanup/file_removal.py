"""One file on its way out of its folder: where it is now, and how its removal ended."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from deriva_watch.cleanup.policy import Policy
from deriva_watch.core.changes import Change, MoveFile, NoteFile
from deriva_watch.core.completeness.observation import Entry, HolderMethod, Holders, Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.records import FileFacts, FileRecord
from deriva_watch.core.removal.removal import Removable
from deriva_watch.core.states import FileTrigger
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.disk.removal import Aside

UPLOADED_AGAIN: Final = "Nothing to do: it is uploaded again."
_CHECKED_AGAIN: Final = "Nothing to do: it is checked again, and uploaded if it has changed."


class UploadAgainError(FileChangedError):
    """The bytes here, or what the server holds, are not what was uploaded."""


@dataclass(slots=True)
class FileRemoval:
    """The removal of one file.

    Attributes:
        removable: The file and its names.
        aside: Sets the file aside, and puts it back.
        is_removed: It was deleted or moved.
        moved_to: Where it was moved, below the folder of its policy.
        error: Why it stays.
    """

    removable: Removable
    aside: Aside
    is_removed: bool = False
    moved_to: str | None = None
    error: FileChangedError | RefusedError | None = None

    @classmethod
    def of(cls, removable: Removable, policy: Policy, kind: type[Aside] = Aside) -> "FileRemoval":
        """Return the removal of a file; nothing is touched yet."""
        place = policy.base + removable.place
        return cls(removable, kind(policy.top, place, removable.file.stamp))

    @property
    def file(self) -> FileRecord:
        """The file as the journal has it."""
        return self.removable.file

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return not self.is_removed and self.error is None

    @contextmanager
    def catching(self) -> Iterator[None]:
        """Note an error that concerns this file alone."""
        try:
            yield
        except (FileChangedError, RefusedError) as error:
            self.error = error

    def change(self) -> Change | None:
        """Return the change for the journal; None while the file is still aside."""
        path, error = self.file.path, self.error
        if self.is_removed:
            noted: FileFacts = {"removal": self.removable.note(self.moved_to)}
            return MoveFile(self.file.id, FileTrigger.REMOVED, noted)
        facts: FileFacts = {"removal": None}
        if isinstance(error, RefusedError):
            facts |= {"what": error.what, "why": error.why, "next": error.next_for(None)}
        elif error:
            then = UPLOADED_AGAIN if isinstance(error, UploadAgainError) else _CHECKED_AGAIN
            facts |= {"what": f"{path} is kept", "why": str(error), "next": then}
        if isinstance(error, UploadAgainError):
            return MoveFile(self.file.id, FileTrigger.CHANGED, facts)
        return None if self.aside.is_aside else NoteFile(self.file.id, facts)


def still_open(removals: Iterable[FileRemoval]) -> list[FileRemoval]:
    """Return the removals that have not ended yet."""
    return [each for each in removals if each.is_open]


def check_writers(removals: Iterable[FileRemoval]) -> None:
    """Search the processes for writers of those files on which the kernel grants no lease."""
    unsure = [each for each in still_open(removals) if not each.aside.leased]
    looks = [_look_at(each) for each in unsure]
    found = holders(looks) if looks else {}
    for each, look in zip(unsure, looks, strict=True):
        with each.catching():
            _check_held(each.file, found[look.root])


def _look_at(removal: FileRemoval) -> Observation:
    name = removal.aside.path.rpartition("/")[2]
    place = str(removal.aside.folder / name)
    found = removal.aside.found()
    entry = Entry(name, found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino, target=place)
    return Observation(place, {name: entry}, datetime.now(UTC), {})


def _check_held(file: FileRecord, held: Holders) -> None:
    if held.open:
        raise FileChangedError(f"{file.path} is open for writing")
    if held.method is HolderMethod.UNKNOWN:
        raise open_folders.kept(
            file.path,
            "it cannot be known whether a process has it open for writing",
            "Run deriva-watch as the owner of the files, or as root.",
        )
