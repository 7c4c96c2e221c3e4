"""Whether a unit belongs to the host and catalog of the settings: the same RID may exist in others.

deriva-ml's workspace beside the execution directory tells, if it counts for the owner of the
directory. Without one, the catalog's Execution must exist, and must not be younger than the
directory.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any, Final, Protocol

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import TableName
from deriva_watch.core.trust import objection
from deriva_watch.core.unit import Unit, UnitKind
from deriva_watch.edges.disk import workspace
from deriva_watch.edges.disk.workspace import NotListedError, Workspace
from deriva_watch.engine.ports import Row
from deriva_watch.liveness import depending_on
from deriva_watch.pipeline.unit_paths import birth
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Server

_NAMED: Final = 3  # so many workspaces are named in a notice
_CLOCK_ERROR: Final = timedelta(days=1)  # the clocks of host and server may differ by so much


class Executions(Protocol):
    """What is asked about the rows of the catalog; the errors are those of `engine.ports`."""

    def execution(self, rid: str) -> Row | None:
        """Return the row of deriva-ml:Execution, or None."""

    def rid_table(self, rid: str) -> TableName | None:
        """Return the table of the row *rid*, or None."""


def workspaces(
    unit: Unit, owner: int | None, settings: Settings
) -> tuple[list[Workspace], dict[str, str]]:
    """Return deriva-ml's workspaces that count for a unit, and why others do not, by their paths.

    *owner* owns the unit. Those that do not count are not opened: it is not known what they list.

    Raises TransientError if it cannot be found out which there are.
    """
    trusted = settings.trusted_owners(unit.prefix)

    def disbelieved(owners: Iterable[int]) -> str | None:
        return next((why for by in sorted(owners) if (why := objection(by, owner, trusted))), None)

    counting, ignored = [], dict[str, str]()
    try:
        with depending_on(unit.prefix):
            there = list(workspace.find(unit.prefix))
        for each in there:
            if why := disbelieved(each.owners):
                ignored[str(each.path.relative_to(unit.prefix))] = why
            else:
                counting.append(each)
    except NotListedError as error:
        why = disbelieved({error.owner})
        if not why:
            raise
        ignored[workspace.CATALOGS] = why
    return counting, ignored


def notices(ignored: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence about the workspaces that do not count, some of them by name."""
    if not ignored:
        return {}
    paths = sorted(ignored)
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    said = f"{', '.join(paths[:_NAMED])}{more}: {ignored[paths[0]]}"
    return {"deriva-ml's workspaces": said}


def workspace_of(unit: Unit, owner: int | None, settings: Settings) -> Workspace | None:
    """Return deriva-ml's workspace that lists an execution and counts for its owner, or None.

    Raises as `listing` and `workspaces`.
    """
    return listing(unit, workspaces(unit, owner, settings)[0], settings.server)


def listing(unit: Unit, counting: Iterable[Workspace], server: Server) -> Workspace | None:
    """Return the one of *counting* that lists the execution, or None.

    If the unit is confirmed, workspaces of other catalogs are passed over.

    Raises:
        RefusedError: It belongs to another host or catalog, or two workspaces list it.
        TransientError: A workspace cannot be read at this moment.
    """
    found = [each for each in counting if each.lists(unit.name)]
    ours = [each for each in found if _is_ours(each, server)]
    if unit.confirmed or not found:
        return ours[0] if ours else None
    names = _names(found)
    if len(found) > 1:
        raise _not_ours(unit, f"several workspaces of deriva-ml list it: {names}")
    if not ours:
        mine = f"{server.host} catalog {server.catalog}"
        raise _not_ours(unit, f"deriva-ml's workspace says it belongs to {names}, not to {mine}")
    return ours[0]


def check_ours(
    unit: Unit,
    owner: int | None,
    settings: Settings,
    catalog: Executions,
    known: Mapping[str, Any] | None = None,
) -> None:
    """Raise RefusedError, with the reason, if the unit does not belong to this host and catalog.

    *owner* owns the unit; *known* is the row of its Execution, if that was just read. If a person
    confirmed it, only its Execution must exist, because its files are linked to it. Units of drop
    folders always belong here.
    """
    if unit.kind is UnitKind.TABLES:
        _check_tables(unit, owner, settings)
    if not unit.is_execution:
        return
    listed = workspace_of(unit, owner, settings)
    row = known or catalog.execution(unit.name)
    if row is None:
        raise _no_execution(unit, settings.server, catalog)
    if listed or unit.confirmed:
        return
    with depending_on(unit.prefix):
        born = birth(unit.root)
    made = datetime.fromisoformat(row["RCT"])
    if born and born < made - _CLOCK_ERROR:
        raise _not_ours(
            unit,
            f"the directory was made {born:%Y-%m-%d %H:%M} UTC, before the Execution of that "
            f"RID ({made.astimezone(UTC):%Y-%m-%d %H:%M} UTC): it may be another catalog's",
        )


def _check_tables(unit: Unit, owner: int | None, settings: Settings) -> None:
    """Refuse tables if all of deriva-ml's workspaces beside them are of other catalogs."""
    found = [] if unit.confirmed else workspaces(unit, owner, settings)[0]
    if found and not any(_is_ours(each, settings.server) for each in found):
        raise _not_ours(unit, f"deriva-ml's workspaces beside it belong to {_names(found)}")


def _is_ours(found: Workspace, server: Server) -> bool:
    hosts = {server.host, server.host.rpartition(":")[0] or server.host}
    return found.host in hosts and found.catalog == server.catalog


def _names(found: list[Workspace]) -> str:
    return ", ".join(f"{each.host} catalog {each.catalog}" for each in found)


def _no_execution(unit: Unit, server: Server, catalog: Executions) -> RefusedError:
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
