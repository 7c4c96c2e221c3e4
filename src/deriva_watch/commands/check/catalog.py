"""Checks whether the catalog can be read, and our rights there and in the object store."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look, Reached
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.spec.rights import LEASE
from deriva_watch.pipeline.connection import read_model

MOST_NAMESPACES: Final = 50  # each costs a request
_MISSING: Final = 404
_ASK: Final = "Ask the catalog administrator for this right."


def reads(look: Look) -> Iterator[Line]:
    """Read the model of the catalog."""
    look.model = read_model(look.catalog)
    look.reached = Reached.MODEL
    about, name = "catalog", look.settings.server.catalog
    assets = [str(table.full_name) for table in look.model.find_assets()]
    facts = {"tables": len(look.model.tables), "asset_tables": assets}
    what = f"{name} has {len(look.model.tables)} tables, {len(assets)} of them for files"
    if assets:
        yield Line(about, what, facts=facts)
        return
    why = "no table has the columns URL, Filename, Length and MD5, so no file can be uploaded"
    yield Line.wrong(about, what, why, "Check [server] catalog.", facts)


def asset_rights(look: Look) -> Iterator[Line]:
    """Check which asset tables we may add files to."""
    rights, about = look.catalog.rights(), "rights on files"
    lacking = {
        str(table.full_name): lacks
        for table in look.model.find_assets()
        if (lacks := rights.lacking(look.model, table))
    }
    wanted = sorted(_named(look) & lacking.keys())
    count = len(look.model.find_assets())
    facts = {"owner": rights.owner, "asset_tables": count, "lacking": lacking}
    if not lacking:
        yield Line(about, f"we may add to all {count} asset tables and link to them", facts=facts)
        return
    shown = wanted or sorted(lacking)
    why = f"we lack: {'; '.join(right for table in shown for right in lacking[table])}"
    if wanted:
        what = f"we may not add to {', '.join(wanted)}, which the settings name"
        yield Line.wrong(about, what, why, _ASK, facts)
    elif len(lacking) == count:
        yield Line.wrong(about, "we may not add to any asset table", why, _ASK, facts)
    else:
        what = f"we may add to {count - len(lacking)} of {count} asset tables"
        yield Line.note(about, what, why, f"To upload files there: {_ASK}", facts)


def lease_right(look: Look) -> Iterator[Line]:
    """Check whether we may lease RIDs for rows in advance."""
    about = "rights on RIDs"
    if look.catalog.rights().lacks("insert", LEASE) or LEASE not in look.model.tables:
        why = (
            "RIDs cannot be leased; without them a lost answer could create a row twice, so no row "
            "is sent"
        )
        yield Line.wrong(about, f"we may not insert into {LEASE}", why, _ASK)
    else:
        yield Line(about, "we may lease RIDs")


def execution_rights(look: Look) -> Iterator[Line]:
    """Check our rights on executions."""
    table = look.model.ml_table("Execution")
    if table is None:
        return
    name, rights = table.full_name, look.catalog.rights()
    about = "rights on executions"
    makes = any(each.unit != "none" for each in look.settings.drops.values())
    needed = ["select", *(["insert"] if makes else [])]
    if lacks := [access for access in needed if rights.lacks(access, name)]:
        what = f"we may not {' or '.join(lacks)} {name}"
        why = "files belong to executions, which we must find, or create for drop folders"
        yield Line.wrong(about, what, why, _ASK)
    elif rights.lacks("update", name):
        why = "their Status is not updated after an upload"
        yield Line.note(
            about,
            f"we may not update {name}",
            why,
            f"To have it updated, ask the catalog administrator for 'update' on {name}.",
        )
    else:
        yield Line(about, "we may find them and update their Status")


def namespaces(look: Look) -> Iterator[Line]:
    """Check that the namespaces of the object store exist that files are uploaded to.

    Only a try could show whether we may create in them: their ACLs can be read by owners alone,
    and every logged-in user may list them.
    """
    about, names = "namespaces", _namespaces(look)
    found = {name: look.store.namespace_status(name) for name in names[:MOST_NAMESPACES]}
    facts = {"status": found, "not_looked_at": names[MOST_NAMESPACES:]}
    missing = [name for name, status in found.items() if status == _MISSING]
    if missing:
        why = (
            f"{', '.join(missing)} will be created with the first file; only then is it known "
            "whether we may"
        )
        then = "If that fails, ask the administrator of the object store to create them."
        yield Line.note(about, f"{len(missing)} of {len(found)} do not exist yet", why, then, facts)
    else:
        yield Line(about, f"all {len(found)} exist", facts=facts)


def _named(look: Look) -> set[str]:
    """Return the asset tables that the settings name, in a bulk spec file or a drop folder."""
    named = set()
    for drop in look.settings.drops.values():
        with suppress(RefusedError):  # the check of the drop folders reports it
            named.add(str(look.model.name_to_table(drop.table).full_name))
    if look.spec and look.settings.spec.source != "model":
        named |= {":".join(each.target) for each in look.spec.mappings if each.target}
    return named


def _namespaces(look: Look) -> list[str]:
    """Return the namespaces of the mappings: the constant beginnings of their object names."""
    specs = [*([look.spec] if look.spec else []), *(each.spec for each in look.drops)]
    names = [each.object_name for spec in specs for each in spec.mappings if each.object_name]
    return sorted({name.partition("{")[0].rpartition("/")[0] for name in names})
