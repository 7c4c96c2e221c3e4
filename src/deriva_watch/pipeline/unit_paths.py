"""Which units there are on disk, and the folder of one of them. Nothing is created."""

import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from deriva_watch.core.completeness.observation import Entry, Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError, SettingsError, TransientError
from deriva_watch.core.ignore_rules import Rule
from deriva_watch.core.layout import TABLES
from deriva_watch.core.os_errors import passing
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import listing, scanner, unit_folder
from deriva_watch.settings.model import Settings

_IN_A_LIST: Final = {UnitKind.EXECUTION, UnitKind.DIRECTORY}  # folders that units are found in


def execution_names(prefix: Path, settings: Settings) -> set[str]:
    """Return the names of the execution directories below a prefix; `TABLES` if there are any.

    Raises SettingsError if they may not be listed, TransientError if they cannot be listed now.
    """
    try:
        tables = {TABLES} if (prefix / TABLES).is_dir() else set()
        files = settings.files
        found = listing.execution_directories(prefix, files.allowed_link_roots, files.ignored)
        return tables | found.keys()
    except RefusedError as error:
        raise SettingsError(error.what, error.why, error.next_for(None)) from error
    except OSError as error:
        raise _unlisted(f"cannot look for executions in {prefix}", error) from error


def watched(settings: Settings) -> list[Path]:
    """Return the watched prefixes; of a pattern, the folders that match it now."""
    found = [watch.prefix for watch in settings.watch]
    return [
        folder
        for each in found
        for folder in (
            listing.matching(each, settings.files.ignored) if listing.is_pattern(each) else [each]
        )
    ]


def drop_units(settings: Settings, drop: Drop) -> tuple[set[str], list[str]]:
    """Return the first-level directories of a drop folder, and the names of the files beside them.

    Raises as `execution_names`.
    """
    try:
        directories, others = listing.listed(drop.path, settings.files.ignored)
    except OSError as error:
        raise _unlisted(f"cannot look into the drop folder {drop.path}", error) from error
    return set(filter(drop.is_unit, directories)), [
        name for name in others if name not in drop.markers
    ]


def _unlisted(what: str, error: OSError) -> SettingsError | TransientError:
    if trouble := passing(what, error):
        return trouble
    return SettingsError(
        what,
        f"{error.filename} cannot be listed: {error.strerror}",
        "Give the user of deriva-watch read access; the daemon retries automatically.",
    )


def unusable_name(unit: Unit) -> RefusedError | None:
    """Return the error for a unit whose name is not UTF-8, or None."""
    try:
        unit.name.encode()
    except UnicodeEncodeError:
        return RefusedError(
            f"cannot upload {unit.root}",
            "its name is not UTF-8, so it cannot be a RID",
            "Rename it to the RID of its Execution.",
        )
    return None


@dataclass(frozen=True, slots=True)
class Directory:
    """The folder of a unit, as the engine's `Disk`."""

    root: Path
    policy: scanner.ScanPolicy

    def open(self, entry: Entry) -> BinaryIO:
        """Open a file, by the rules for links; raises as `scanner.open_content`."""
        return scanner.open_content(self.root, entry, self.policy)

    def verify(self, entry: Entry) -> None:
        """Raise FileChangedError if the file has changed since the look."""
        scanner.check_unchanged(self.root, entry)

    def opened(self, seen: Observation | None = None) -> AbstractContextManager[int]:
        """Open the folder to write files of ours into it; raises as `unit_folder.opened`."""
        return unit_folder.opened(self.root, self.policy.links(), seen)


def directory_of(unit: Unit, settings: Settings, *, ignores: bool = True) -> Directory:
    """Return the folder of a unit, to open its files by the rules for links."""
    policy = scanner.ScanPolicy(
        prefix=unit.prefix,
        ignore=settings.files.ignored if ignores else None,
        lead=f"{unit.name}/" if unit.kind is UnitKind.DIRECTORY else "",
        has_outer=unit.kind in _IN_A_LIST,
        allowed_link_roots=settings.files.allowed_link_roots,
        state_directory=settings.state_directory,
    )
    return Directory(unit.root, policy)


def is_ignored(unit: Unit, settings: Settings) -> bool:
    """Return whether the name of a unit's folder is ignored where such folders are listed.

    A directory of a drop folder with the name of a transfer in progress is partial instead.
    """
    if unit.kind not in _IN_A_LIST:
        return False
    partial = Rule(settings.completion_policy.partial, "[completion] partial")
    if unit.kind is UnitKind.DIRECTORY and partial.ignored(unit.name, is_dir=True):
        return False
    return listing.is_ignored(unit.root, settings.files.ignored)


def birth(path: Path) -> datetime | None:
    """Return when a directory was created, or None if its file system does not know."""
    told = subprocess.run(  # noqa: S603  # Python's os.stat knows no birth on Linux
        ["/usr/bin/stat", "--format=%.6W", "--", path], capture_output=True, text=True, check=False
    )
    said = told.stdout.strip()  # nothing: it is gone
    seconds = float(said) if said.replace(".", "", 1).isdigit() else 0.0
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
