"""Which units there are on disk, and the folder of one of them. Nothing is created."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from deriva_watch.core.completeness.observation import Entry, Observation
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError, SettingsError, TroubleError
from deriva_watch.core.ignore_rules import Rule
from deriva_watch.core.layout import LOOSE, ROOT, TABLES
from deriva_watch.core.os_errors import raise_if_passing
from deriva_watch.core.prose import counted
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import unit_folder
from deriva_watch.edges.disk.scanning import content
from deriva_watch.edges.disk.scanning.links import below
from deriva_watch.edges.disk.scanning.listing import Listing, listed
from deriva_watch.edges.disk.scanning.listing import is_ignored as is_ignored_name
from deriva_watch.edges.disk.scanning.prefixes import Matches, is_pattern, matching, named_part
from deriva_watch.edges.disk.scanning.scan_policy import ScanPolicy
from deriva_watch.edges.watching import mounts
from deriva_watch.liveness import BLOCK_S, depending_on
from deriva_watch.settings.model import Settings

_IN_A_LIST: Final = {UnitKind.EXECUTION, UnitKind.DIRECTORY}  # folders that units are found in


@dataclass(frozen=True, slots=True)
class Units:
    """What is in a prefix or drop folder.

    Attributes:
        advice: What to do with data that is beside them.
        names: The names of the units.
        beside: What is in none of them and is not uploaded, with the reason.
        ignored: What is left out on purpose, with the reason.
    """

    advice: str
    names: set[str] = field(default_factory=set)
    beside: dict[Path, str] = field(default_factory=dict)
    ignored: dict[Path, str] = field(default_factory=dict)

    def trouble(self, root: Path) -> TroubleError | None:
        """Return the error that names what is beside the units of *root*, or None."""
        if not self.beside:
            return None
        path, why = min(self.beside.items())
        count = len(self.beside)
        return TroubleError(
            f"{counted(count, 'name')} in {root} {'is' if count == 1 else 'are'} not uploaded",
            f"{path.relative_to(root)}: {why}",
            f"{self.advice} Add names that are not data to [files] ignore. "
            "`deriva-watch check -v` lists all.",
        )

    def take(self, folder: Path, found: Listing) -> None:
        """Add what is beside the units in *folder*."""
        self.beside.update({folder / name: why for name, why in found.beside.items()})
        self.ignored.update({folder / name: why for name, why in found.ignored.items()})


def execution_units(prefix: Path, settings: Settings) -> Units:
    """Return the execution directories below a prefix; `TABLES` if there are any.

    Raises SettingsError if they may not be listed, TransientError if they cannot be listed now.
    """
    folder, units = prefix / ROOT, Units("Move data into an execution directory.")
    executions = above = Listing()
    with (
        _listing(f"cannot look for executions in {prefix}"),
        suppress(FileNotFoundError, NotADirectoryError),  # the prefix is gone
    ):
        _check_apart(folder, settings)
        links, trusted = _policy(prefix, settings).links(), settings.trusted_owners(prefix)
        executions = listed(folder / "execution", links, settings.files.ignored, trusted)
        above = listed(folder, links, settings.files.ignored, trusted)
    units.take(folder / "execution", executions)
    units.take(folder, above)
    units.names.update(executions.directories)
    for name in above.directories - {"execution"}:
        if folder / name == prefix / TABLES:
            units.names.add(TABLES)
        else:
            units.beside[folder / name] = f"only execution/ and table/ of {ROOT}/ are uploaded"
    return units


def drop_units(drop: Drop, settings: Settings) -> Units:
    """Return the first-level directories of a drop folder, or `LOOSE` where it has batches.

    Raises as `execution_units`.
    """
    units = Units('Move data into a directory of the folder, or set unit = "batch".')
    with _listing(f"cannot look into the drop folder {drop.path}"):
        _check_apart(drop.path, settings)
        if drop.unit != "directory":
            units.names.add(LOOSE)
            return units
        found = listed(drop.path, _policy(drop.path, settings).links(), settings.files.ignored)
    units.take(drop.path, found)
    units.names.update(filter(drop.is_unit, found.directories))
    for marker in drop.markers:
        units.beside.pop(drop.path / marker, None)
    return units


def watched(settings: Settings) -> list[Path]:
    """Return the watched prefixes; of a pattern, the folders that match it now."""
    return [
        folder for watch in settings.watch for folder in matches_of(watch.prefix, settings).folders
    ]


def matches_of(prefix: Path, settings: Settings) -> Matches:
    """Return a prefix of the settings; of a pattern, the folders that match it now."""
    if not is_pattern(prefix):
        return Matches([prefix])
    return matching(prefix, settings.files.ignored)


@contextmanager
def _listing(what: str) -> Iterator[None]:
    """Turn errors of a listing into those that say *what* cannot be done."""
    try:
        yield
    except RefusedError as error:
        raise SettingsError(error.what, error.why, error.next_for(None)) from error
    except OSError as error:
        raise_if_passing(what, error)
        raise SettingsError(
            what,
            f"{error.filename} cannot be listed: {error.strerror}",
            "Give the user of deriva-watch read access; the daemon retries automatically.",
        ) from error


def _check_apart(folder: Path, settings: Settings) -> None:
    """Raise SettingsError if the folder of the journal is above *folder*, maybe by a link.

    Nothing below the journal's folder is uploaded. The settings refuse it by its name alone.
    """
    state = os.path.realpath(settings.state_directory)
    if below(os.path.realpath(folder), state):
        raise SettingsError(
            f"cannot upload anything in {folder}",
            f"it is below {state}, the folder of the journal, which is never uploaded",
            "Set [journal] url to a file in a folder of its own, and restart the daemon.",
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
    policy: ScanPolicy

    def open(self, entry: Entry) -> BinaryIO:
        """Open a file, by the rules for links; raises as `content.open_content`."""
        return content.open_content(self.root, entry, self.policy)

    def verify(self, entry: Entry) -> None:
        """Raise FileChangedError if the file has changed since the look."""
        with depending_on(self.policy.prefix):
            content.check_unchanged(self.root, entry)

    @contextmanager
    def opened(self, seen: Observation | None = None) -> Iterator[int]:
        """Open the folder to write files of ours into it; raises as `unit_folder.opened`."""
        with depending_on(self.policy.prefix, BLOCK_S):
            opening = unit_folder.opened(self.root, self.policy.links(), seen)
            with opening as folder:
                yield folder

    @property
    def trusted(self) -> frozenset[int]:
        """The users whose statements count, beside those of its owner."""
        return self.policy.trusted_owners or frozenset()


def directory_of(unit: Unit, settings: Settings, *, ignores: bool = True) -> Directory:
    """Return the folder of a unit, to open its files by the rules for links."""
    policy = replace(
        _policy(unit.prefix, settings),
        ignore=settings.files.ignored if ignores else None,
        lead=f"{unit.name}/" if unit.kind is UnitKind.DIRECTORY else "",
        has_outer=unit.kind in _IN_A_LIST,
        trusted_owners=None if unit.is_shared else settings.trusted_owners(unit.prefix),
    )
    return Directory(unit.root, policy)


def _policy(prefix: Path, settings: Settings) -> ScanPolicy:
    """Return where links below *prefix* may lead."""
    given = [watch.prefix for watch in settings.watch]
    wild = [] if prefix in given else list(filter(is_pattern, given))
    pattern = next((each for each in wild if prefix.match(str(each))), None)
    return ScanPolicy(
        prefix,
        allowed_link_roots=settings.files.allowed_link_roots,
        state_directory=settings.state_directory,
        named=named_part(pattern) if pattern else None,
        inodes_stay=mounts.inodes_stay,
    )


def is_ignored(unit: Unit, settings: Settings) -> bool:
    """Return whether the name of a unit's folder is ignored where such folders are listed.

    A directory of a drop folder with the name of a transfer in progress is partial instead.
    """
    if unit.kind not in _IN_A_LIST:
        return False
    partial = Rule(settings.completion_policy.partial, "[completion] partial")
    if unit.kind is UnitKind.DIRECTORY and partial.ignored(unit.name, is_dir=True):
        return False
    trusted = settings.trusted_owners(unit.prefix)
    with depending_on(unit.prefix):
        return is_ignored_name(unit.root, settings.files.ignored, trusted)


def birth(path: Path) -> datetime | None:
    """Return when a directory was created, or None if its file system does not know."""
    told = subprocess.run(  # noqa: S603  # Python's os.stat knows no birth on Linux
        ["/usr/bin/stat", "--format=%.6W", "--", path], capture_output=True, text=True, check=False
    )
    said = told.stdout.strip()  # nothing: it is gone
    seconds = float(said) if said.replace(".", "", 1).isdigit() else 0.0
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
