"""How the removal of a group of files ended with each of them, and who still writes to one."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from deriva_watch.core.completeness.observation import Entry, HolderMethod, Holders, Observation
from deriva_watch.core.errors import FileChangedError, RefusedError
from deriva_watch.core.records import FileFacts, FileRecord
from deriva_watch.edges.disk import open_folders
from deriva_watch.edges.disk.open_files import holders
from deriva_watch.edges.disk.removal import Aside

THEN: Final = "Nothing to do: it is looked at again, and uploaded if it is another."


class OtherContentError(FileChangedError):
    """It looks as it did, and its bytes are others."""


@dataclass(slots=True)
class Ended:
    """How it ended with each file of a group, by path."""

    removed: dict[str, str | None] = field(default_factory=dict)  # where to
    changed: dict[str, str] = field(default_factory=dict)  # a look will tell
    differing: dict[str, str] = field(default_factory=dict)  # to be uploaded again
    kept: dict[str, RefusedError] = field(default_factory=dict)

    def open(self, files: Iterable[FileRecord]) -> list[FileRecord]:
        """Return those of *files* with which it has not ended yet."""
        ends = self.removed.keys() | self.changed.keys() | self.differing.keys() | self.kept.keys()
        return [file for file in files if file.path not in ends]

    def said(self, path: str) -> FileFacts:
        """Return the sentence for a file that stays; nothing of one that does not."""
        if error := self.kept.get(path):
            return {"what": error.what, "why": error.why, "next": error.next_for(None)}
        if why := self.changed.get(path):
            return {"what": f"{path} stays where it is", "why": why, "next": THEN}
        return {}

    @contextmanager
    def noting(self, path: str) -> Iterator[None]:
        """Take note of what ends it with one file."""
        try:
            yield
        except OtherContentError as error:
            self.differing[path] = str(error)
        except FileChangedError as error:
            self.changed[path] = str(error)
        except RefusedError as error:
            self.kept[path] = error


def check_writers(files: Iterable[FileRecord], asides: Mapping[str, Aside], ended: Ended) -> None:
    """Look into the processes for who writes to files that the kernel gives no lease of."""
    unsure, looks = [file for file in files if not asides[file.path].leased], {}
    for file in unsure:
        aside = asides[file.path]
        name = aside.path.rpartition("/")[2]
        place = str(aside.folder / name)
        entries = {name: Entry(name, *file.stamp, target=place)}
        looks[file.path] = Observation(place, entries, datetime.now(UTC), {})
    found = holders(list(looks.values())) if looks else {}
    for file in unsure:
        with ended.noting(file.path):
            _check_held(file, found[looks[file.path].root])


def _check_held(file: FileRecord, held: Holders) -> None:
    if held.open:
        raise FileChangedError(f"{file.path} is opened for writing")
    if held.method is HolderMethod.UNKNOWN:
        raise open_folders.kept(
            file.path,
            "it cannot be known whether somebody has it open for writing",
            "Let deriva-watch run as the owner of the files, or as root.",
        )
