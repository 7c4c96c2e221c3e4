"""Reads a unit: which files it has now, and what the program that wrote them says about them.

The daemon and the commands all read units here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from deriva_watch.core.completeness.disk_names import as_on_disk
from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.json_text import FILE_BYTES, JsonError, as_text, read_whole
from deriva_watch.core.layout import MANIFEST, Place, Shape, place
from deriva_watch.core.metadata.metadata_order import read_columns
from deriva_watch.core.metadata.sources import Manifest, Sources, read_manifest, read_types
from deriva_watch.core.model import TableName
from deriva_watch.core.trust import disbelieved
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk.open_folders import is_folder
from deriva_watch.edges.disk.scanning import scanner
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.liveness import BLOCK_S, depending_on
from deriva_watch.pipeline.ownership import listing, notices, workspaces
from deriva_watch.pipeline.unit_paths import Directory, directory_of
from deriva_watch.settings.model import Settings

Members = Callable[[Unit], Iterable[str] | None]
_TOLD: Final = 100  # entries of a manifest that cannot be used
_NO_MANIFEST: Final = f"{MANIFEST} is a directory; only a regular file can be read"
_DESCRIBING: Final = {Shape.MANIFEST, Shape.ASSET_TYPES, Shape.COLUMNS}


@dataclass(frozen=True, slots=True)
class UnitReader:
    """Reads units as the settings say.

    Attributes:
        members: Returns the paths of the files that a unit consists of; None: all below its root.
        ignores: Whether names can be ignored.
    """

    settings: Settings
    members: Members
    ignores: bool = True

    @classmethod
    def of(cls, settings: Settings, journal: Journal | Reader | None = None) -> "UnitReader":
        """Return a reader that takes the files of batches from *journal*; None: they have none."""

        def members(unit: Unit) -> Iterable[str] | None:
            if unit.kind is not UnitKind.BATCH:
                return None
            server = settings.server.name
            return journal.members_of(server, unit.prefix, unit.name) if journal else ()

        return cls(settings, members)

    def directory(self, unit: Unit) -> Directory:
        """Return the folder of a unit, to open its files by the rules for links."""
        return directory_of(unit, self.settings, ignores=self.ignores)

    def is_away(self, unit: Unit) -> bool:
        """Return whether the folder that contains the unit is missing too, or cannot be looked at.

        Then its disk is probably not mounted, and a missing unit does not mean that it was deleted.
        """
        with depending_on(unit.prefix):
            return not is_folder(unit.parent)

    def look(self, unit: Unit) -> Observation | None:
        """Return the files that the unit has now, or None if it is gone."""
        if unit.kind is UnitKind.DIRECTORY and unit.drop and not unit.drop.is_unit(unit.name):
            return None
        policy, paths = self.directory(unit).policy, self.members(unit)
        with depending_on(unit.prefix):
            if paths is not None:
                return scanner.look_at(unit.root, paths, policy)
            seen = scanner.scan(unit.root, policy)
        if seen is None or unit.is_shared:
            return seen
        trusted = self.settings.trusted_owners(unit.prefix)
        markers = unit.policy(self.settings.completion_policy).markers
        found = disbelieved(seen, markers, trusted, is_ml=unit.is_execution)
        return replace(seen, disbelieved=found) if found else seen

    def sources(self, unit: Unit, seen: Observation, *, names_only: bool = False) -> Sources:
        """Read the sources of a unit: manifest, type files, deriva-ml's workspace.

        What does not count for the owner of the unit is left out, with a notice. With *names_only*
        nothing is read but what names assets: other files may be large, and looks are frequent.

        Raises TransientError if the workspace cannot be read: nothing is uploaded without its
        metadata. Raises RefusedError as `ownership.listing`.
        """
        skipped = {path: f"not uploaded: {why}" for path, why in seen.skipped.items()}
        if not unit.is_execution:
            return Sources(notices=skipped)
        with depending_on(unit.prefix, BLOCK_S):
            return self._sources(unit, seen, skipped, names_only=names_only)

    def _sources(
        self, unit: Unit, seen: Observation, skipped: dict[str, str], *, names_only: bool
    ) -> Sources:
        """Read the sources of an execution."""
        counting, ignored = workspaces(unit, seen.owner, self.settings)
        found = _Described(notices=skipped | notices(ignored))
        directory, shapes = self.directory(unit), {Shape.MANIFEST} if names_only else _DESCRIBING
        for path, entry in seen.entries.items():
            where = place(path)
            if where and where.shape in shapes and path not in seen.disbelieved:
                found.read(where, path, _text(directory, entry, found))
        if _is_directory(seen, MANIFEST):
            found.read(Place(Shape.MANIFEST, {}), MANIFEST, _Unreadable(_NO_MANIFEST))
        workspace = listing(unit, counting, self.settings.server)
        if workspace and names_only:
            return as_on_disk(Sources(found.manifest, workspace.assets(unit.name)), seen)
        if workspace and (left := workspace.pending_rows(unit.name)):
            found.notices["pending rows of deriva-ml's workspace"] = (
                f"{left} are not in the catalog; only assets and features are uploaded from it"
            )
        said = Sources(
            found.manifest,
            workspace.assets(unit.name) if workspace else {},
            found.types,
            found.notices,
            workspace.features(unit.name) if workspace else {},
            found.columns,
        )
        return as_on_disk(said, seen)


@dataclass(slots=True)
class _Described:
    """What the describing files of a unit say, as far as they have been read."""

    left_bytes: int = FILE_BYTES  # of all of them together
    manifest: Manifest | None = None
    types: dict[TableName, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    columns: dict[TableName, tuple[str, ...]] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)

    def read(self, where: Place, path: str, text: "str | _Unreadable") -> None:
        """Add one file; a problem with it becomes a notice."""
        if where.shape is Shape.MANIFEST:
            self.manifest = (
                Manifest({}, {"": text.why})
                if isinstance(text, _Unreadable)
                else read_manifest(text)
            )
            problems = list(self.manifest.problems.items())
            self.notices |= {f"{MANIFEST} {key}".strip(): why for key, why in problems[:_TOLD]}
            if more := len(problems[_TOLD:]):
                self.notices[f"{MANIFEST} …"] = f"{more:,} more entries cannot be used"
        elif isinstance(text, _Unreadable):
            self.notices[path] = text.why
        elif where.shape is Shape.COLUMNS:
            try:
                self.columns[_table(where)] = read_columns(text)
            except ValueError as error:
                self.notices[path] = str(error)
        else:
            self.types[_table(where)], wrong = read_types(text)
            if wrong:
                self.notices[path] = "; ".join(wrong)


def _is_directory(seen: Observation, name: str) -> bool:
    return str(Path(seen.root).resolve() / name) in seen.directories


def _table(where: Place) -> TableName:
    return TableName(where.part["schema"], where.part["table"])


@dataclass(frozen=True, slots=True)
class _Unreadable:
    why: str


def _text(directory: Directory, entry: Entry, found: _Described) -> str | _Unreadable:
    if entry.kind is not Kind.CONTENT:
        return _Unreadable(f"{entry.path}: {entry.problem}")
    if entry.size_bytes > found.left_bytes:
        most = f"{FILE_BYTES >> 20} MiB"
        why = f"with it, the files that describe others are larger than {most} together"
        return _Unreadable(f"{entry.path}: {why}")
    try:
        with directory.open(entry) as file:
            content = read_whole(file, found.left_bytes)
        found.left_bytes -= len(content)
        return as_text(content)
    except JsonError as error:
        return _Unreadable(f"{entry.path}: {error}")
    except RefusedError as error:
        return _Unreadable(f"{entry.path}: {error.why}")
