"""Whether a unit belongs to the host and catalog of the settings: the same RID may exist in others.

deriva-ml's workspace beside the execution directory tells. Without one, the catalog's Execution
must exist, and must not be younger than the directory.
"""

from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Final

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import workspace
from deriva_watch.edges.disk.workspace import Workspace
from deriva_watch.engine.ports import Catalog
from deriva_watch.pipeline.unit_paths import birth
from deriva_watch.settings.model import Server

_CLOCK_ERROR: Final = timedelta(days=1)  # the clocks of host and server may differ by so much


def workspace_of(unit: Unit, server: Server) -> Workspace | None:
    """Return deriva-ml's workspace that lists the execution, or None.

    If the unit is confirmed, workspaces of other catalogs are passed over.

    Raises:
        RefusedError: It belongs to another host or catalog, or two workspaces list it.
        TransientError: A workspace cannot be read at this moment.
    """
    listing = [found for found in workspace.find(unit.prefix) if found.lists(unit.name)]
    ours = [each for each in listing if _is_ours(each, server)]
    if unit.confirmed or not listing:
        return ours[0] if ours else None
    names = _names(listing)
    if len(listing) > 1:
        raise _not_ours(unit, f"several workspaces of deriva-ml list it: {names}")
    if not ours:
        mine = f"{server.host} catalog {server.catalog}"
        raise _not_ours(unit, f"deriva-ml's workspace says it belongs to {names}, not to {mine}")
    return ours[0]


def check_ours(unit: Unit, server: Server, catalog: Catalog) -> None:
    """Raise RefusedError, with the reason, if the unit does not belong to this host and catalog.

    If a person confirmed it, only its Execution must exist, because its files are linked to it.
    Units of drop folders always belong here.
    """
    if unit.kind is UnitKind.TABLES:
        _check_tables(unit, server)
    if not unit.is_execution:
        return
    listed = workspace_of(unit, server)
    row = catalog.execution(unit.name)
    if row is None:
        raise _no_execution(unit, server, catalog)
    if listed or unit.confirmed:
        return
    born, made = birth(unit.root), datetime.fromisoformat(row["RCT"])
    if born and born < made - _CLOCK_ERROR:
        raise _not_ours(
            unit,
            f"the directory was made {born:%Y-%m-%d %H:%M} UTC, before the Execution of that "
            f"RID ({made.astimezone(UTC):%Y-%m-%d %H:%M} UTC): it may be another catalog's",
        )


def _check_tables(unit: Unit, server: Server) -> None:
    """Refuse tables if all of deriva-ml's workspaces beside them are of other catalogs."""
    found = [] if unit.confirmed else workspace.find(unit.prefix)
    if found and not any(_is_ours(each, server) for each in found):
        raise _not_ours(unit, f"deriva-ml's workspaces beside it belong to {_names(found)}")


def _is_ours(found: Workspace, server: Server) -> bool:
    hosts = {server.host, server.host.rpartition(":")[0] or server.host}
    return found.host in hosts and found.catalog == server.catalog


def _names(found: list[Workspace]) -> str:
    return ", ".join(f"{each.host} catalog {each.catalog}" for each in found)


def _no_execution(unit: Unit, server: Server, catalog: Catalog) -> RefusedError:
    rid = unit.name
    other = catalog.rid_table(rid)
    why = (
        f"RID {rid} belongs to table {other}" if other else f"the catalog has no row with RID {rid}"
    )
    return RefusedError(
        what=f"{unit.label} is not uploaded",
        why=f"catalog {server.catalog} has no such Execution: {why}",
        next="Rename the directory to the RID of its Execution; or make one with this RID, "
        f"then `deriva-watch retry {quote(rid)}`.",
    )


def _not_ours(unit: Unit, why: str) -> RefusedError:
    return RefusedError(
        what=f"{unit.label} is not uploaded",
        why=why,
        next=f"If it does belong here: `deriva-watch retry {unit.name} --this-catalog`.",
    )
