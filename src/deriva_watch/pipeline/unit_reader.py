"""From a directory on disk to what can be judged and planned: its files, and what is said of them.

Everything that reads an execution directory goes through here, for the daemon and the one-shot
upload alike.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Final

from deriva_watch.core.completeness.observation import Entry, Kind, Observation
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import MANIFEST, Shape, place
from deriva_watch.core.metadata.metadata_order import Reference, read_columns
from deriva_watch.core.metadata.sources import Manifest, Sources, read_manifest, read_types
from deriva_watch.core.model import CatalogModel, TableName
from deriva_watch.core.plan.path_metadata import questions
from deriva_watch.core.plan.plan import Plan, make_plan
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.spec.spec import Spec
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import scanner, workspace
from deriva_watch.edges.disk.workspace import Workspace
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.pipeline.drop_plan import plan_drop
from deriva_watch.pipeline.unit_paths import Directory, birth
from deriva_watch.settings.model import Settings

_SAYING: Final = (Shape.MANIFEST, Shape.ASSET_TYPES, Shape.COLUMNS)
_OLDER_THAN_ITS_ROW: Final = timedelta(days=1)  # clocks differ; a copied catalog differs more


@dataclass(frozen=True, slots=True)
class UnitReader:
    """Reads execution directories, and drop folders, by the settings.

    Attributes:
        members: Returns the paths that the journal has for a batch, by drop folder and name.
    """

    settings: Settings
    specs: SpecSource
    members: Callable[[Path, str], Iterable[str]] = lambda _prefix, _rid: ()

    @classmethod
    def of(cls, settings: Settings) -> "UnitReader":
        """Return the one that *settings* describe."""
        said = settings.spec
        return cls(
            settings,
            SpecSource(
                said.source,
                said.file,
                frozenset(said.allowed_processors),
                settings.transfer.chunk_bytes,
            ),
        )

    def directory(self, unit: Unit) -> Directory:
        """Return the folder of a unit, to open its files by the rules for links."""
        policy = scanner.ScanPolicy(
            prefix=unit.prefix,
            ignore=self.settings.files.ignore,
            allowed_link_roots=self.settings.files.allowed_link_roots,
            state_directory=self.settings.state_directory,
        )
        return Directory(unit.root, policy)

    def is_away(self, unit: Unit) -> bool:
        """Return whether the folder that contains the unit is missing too.

        Then its disk is probably not mounted, and a missing unit does not mean that it was deleted.
        """
        return not unit.parent.is_dir()

    def look(self, unit: Unit) -> Observation | None:
        """Return the files that the unit has now, or None if it is gone.

        For a batch of a drop folder these are the files that the batch was formed from.
        """
        directory = self.directory(unit)
        if unit.kind is UnitKind.DIRECTORY and unit.drop and not unit.drop.is_unit(unit.name):
            return None
        if unit.kind is UnitKind.BATCH:
            paths = self.members(unit.prefix, unit.name)
            return scanner.look_at(directory.root, paths, directory.policy)
        return scanner.scan(directory.root, directory.policy)

    def said(self, unit: Unit, seen: Observation) -> Sources:
        """Read the manifest, the asset types and deriva-ml's workspace.

        Raises TransientError where the workspace cannot be read: nothing is uploaded without its
        metadata.
        """
        if not unit.is_execution:
            return Sources()
        directory = self.directory(unit)
        types: dict[TableName, dict[str, tuple[str, ...]]] = {}
        columns: dict[TableName, tuple[str, ...]] = {}
        notices: dict[str, str] = {}
        manifest: Manifest | None = None
        for path, entry in seen.entries.items():
            where = place(path)
            if where is None or where.shape not in _SAYING:
                continue
            text = _text(directory, entry)
            if where.shape is Shape.MANIFEST:
                manifest = (
                    Manifest({}, {"": text.why})
                    if isinstance(text, _Unreadable)
                    else (read_manifest(text))
                )
                notices |= {f"{MANIFEST} {k}".strip(): v for k, v in manifest.problems.items()}
            elif isinstance(text, _Unreadable):
                notices[path] = text.why
            elif where.shape is Shape.COLUMNS:
                try:
                    columns[TableName(where.part["schema"], where.part["table"])] = read_columns(
                        text
                    )
                except ValueError as error:
                    notices[path] = str(error)
            else:
                table = TableName(where.part["schema"], where.part["table"])
                types[table], problems = read_types(text)
                if problems:
                    notices[path] = "; ".join(problems)
        ours = self.workspace(unit)
        assets = ours.assets(unit.name) if ours else {}
        features = ours.features(unit.name) if ours else {}
        if ours and (left := ours.pending_rows(unit.name)):
            why = f"{left} are not in the catalog; only assets and features of it are uploaded"
            notices["pending rows of deriva-ml's workspace"] = why
        return Sources(manifest, assets, types, notices, features, columns)

    def spec(self, model: CatalogModel) -> Spec:
        """Return the bulk spec in force; UnusableSpecError where there is none to use."""
        return self.specs.spec(model)

    def plan(self, unit: Unit, seen: Observation, model: CatalogModel, catalog: Catalog) -> Plan:
        """Return what becomes of every file of a unit."""
        if unit.drop:
            return plan_drop(unit.drop, seen, model, catalog, self.settings.transfer.chunk_bytes)
        vocabulary = model.ml_table("Asset_Type")
        rules = Rules(
            model=model,
            spec=self.spec(model),
            execution=unit.name if unit.is_execution else None,
            asset_types=catalog.terms(vocabulary.full_name) if vocabulary else None,
            markers=frozenset(self.settings.completion.markers),
            metadata_in_order=self.settings.files.metadata_order == "sorted",
        )
        said = self.said(unit, seen)
        asked = questions(seen, said, rules)
        found = {each: _found(catalog, each, values) for each, values in asked.items() if values}
        known = {each: values for each, values in found.items() if values is not None}
        return make_plan(seen, said, replace(rules, known=known))

    def workspace(self, unit: Unit) -> Workspace | None:
        """Return deriva-ml's workspace that lists the execution, or None.

        If the unit is confirmed, workspaces of other catalogs are passed over.

        Raises:
            RefusedError: It belongs to another host or catalog, or two workspaces list it.
            TransientError: A workspace cannot be read at this moment.
        """
        listing = [found for found in workspace.find(unit.prefix) if found.lists(unit.name)]
        ours = [each for each in listing if self._is_ours(each)]
        if unit.confirmed or not listing:
            return ours[0] if ours else None
        names = ", ".join(f"{found.host} catalog {found.catalog}" for found in listing)
        if len(listing) > 1:
            raise _not_ours(unit, f"several workspaces of deriva-ml list it: {names}")
        if not ours:
            mine = f"{self.settings.server.host} catalog {self.settings.server.catalog}"
            raise _not_ours(
                unit, f"deriva-ml's workspace says it belongs to {names}, not to {mine}"
            )
        return ours[0]

    def check_ours(self, unit: Unit, catalog: Catalog) -> None:
        """Check that the unit belongs to this host and catalog: the same RID may exist in several.

        If a person confirmed it, only its Execution must exist, because its files are linked to it.

        Raises RefusedError with the reason if it does not belong here.
        """
        if unit.kind is UnitKind.TABLES:
            self._check_tables(unit)
        if not unit.is_execution:
            return
        listed = self.workspace(unit)
        row = catalog.execution(unit.name)
        if row is None:
            raise self._no_execution(unit.name, catalog.rid_table(unit.name))
        if listed or unit.confirmed:
            return
        born, made = birth(unit.root), datetime.fromisoformat(row["RCT"])
        if born and born < made - _OLDER_THAN_ITS_ROW:
            raise _not_ours(
                unit,
                f"the directory was made {born:%Y-%m-%d %H:%M} UTC, before the Execution of that "
                f"RID ({made.astimezone(UTC):%Y-%m-%d %H:%M} UTC): it may be another catalog's",
            )

    def _check_tables(self, unit: Unit) -> None:
        """Refuse tables if all of deriva-ml's workspaces beside them are of other catalogs."""
        found = [] if unit.confirmed else workspace.find(unit.prefix)
        if found and not any(map(self._is_ours, found)):
            names = ", ".join(f"{each.host} catalog {each.catalog}" for each in found)
            raise _not_ours(unit, f"deriva-ml's workspaces beside it belong to {names}")

    def _is_ours(self, found: Workspace) -> bool:
        server = self.settings.server
        hosts = {server.host, server.host.rpartition(":")[0] or server.host}
        return found.host in hosts and found.catalog == server.catalog

    def _no_execution(self, rid: str, other: TableName | None) -> RefusedError:
        why = f"{rid} is a row of {other}" if other else f"no row of it has the RID {rid}"
        return RefusedError(
            what=f"execution {rid} is not uploaded",
            why=f"catalog {self.settings.server.catalog} has no such Execution: {why}",
            next="Rename the directory to the RID of its Execution; or make one with this RID, "
            f"then `deriva-watch retry {quote(rid)}`.",
        )


def _found(catalog: Catalog, where: Reference, values: set[str]) -> frozenset[str] | None:
    """Return those of *values* that a column has; None where we may not know."""
    try:
        rows = catalog.rows_with(where.table, where.column, sorted(values))
    except RefusedError:
        return None
    return frozenset(str(row[where.column]) for row in rows)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    why: str


def _text(directory: Directory, entry: Entry) -> str | _Unreadable:
    if entry.kind is not Kind.CONTENT:
        return _Unreadable(f"{entry.path}: {entry.problem}")
    try:
        with directory.open(entry) as file:
            return file.read().decode()
    except UnicodeDecodeError:
        return _Unreadable(f"{entry.path} is not UTF-8")
    except RefusedError as error:
        return _Unreadable(f"{entry.path}: {error.why}")


def _not_ours(unit: Unit, why: str) -> RefusedError:
    return RefusedError(
        what=f"{unit.label} is not uploaded",
        why=why,
        next=f"If it does belong here: `deriva-watch retry {unit.name} --this-catalog`.",
    )
