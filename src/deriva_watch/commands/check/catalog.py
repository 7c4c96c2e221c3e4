"""Whether the catalog can be read, and what we may do there and in the object store."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look, Reached
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.spec.rights import LEASE
from deriva_watch.pipeline.build import read_model

MOST_NAMESPACES: Final = 50  # each costs a request
_MISSING: Final = 404
_ASK: Final = "Ask the administrator of the catalog for the right."


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
    why = "no table has the columns URL, Filename, Length and MD5, so that no file can go there"
    yield Line.wrong(about, what, why, "See whether [server] catalog is what you meant.", facts)


def asset_rights(look: Look) -> Iterator[Line]:
    """Tell which tables files may go to."""
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
        yield Line.note(about, what, why, f"If files are to go there: {_ASK}", facts)


def lease_right(look: Look) -> Iterator[Line]:
    """Tell whether rows may get RIDs that are known beforehand."""
    about = "rights on RIDs"
    if look.catalog.rights().lacks("insert", LEASE) or LEASE not in look.model.tables:
        why = "without a leased RID rows could be doubled after a lost answer, so none is sent"
        yield Line.wrong(about, f"we may not insert into {LEASE}", why, _ASK)
    else:
        yield Line(about, "we may lease RIDs")


def execution_rights(look: Look) -> Iterator[Line]:
    """Tell what we may do to executions."""
    table = look.model.ml_table("Execution")
    if table is None:
        return
    name, rights = table.full_name, look.catalog.rights()
    about = "rights on executions"
    makes = any(each.unit != "none" for each in look.settings.drops.values())
    needed = ["select", *(["insert"] if makes else [])]
    if lacks := [access for access in needed if rights.lacks(access, name)]:
        what = f"we may not {' or '.join(lacks)} {name}"
        why = "files belong to executions, which we must find, or make for drop folders"
        yield Line.wrong(about, what, why, _ASK)
    elif rights.lacks("update", name):
        why = "their Status stays what it is when they are uploaded"
        yield Line.note(about, f"we may not update {name}", why, f"If it is to move: {_ASK}")
    else:
        yield Line(about, "we may find them and move their Status")


def namespaces(look: Look) -> Iterator[Line]:
    """Tell whether the folders of the object store are there that files go to.

    Whether we may create in them only a try would tell: their ACLs are for owners, and anybody
    who is logged in may list them.
    """
    about, names = "namespaces", _namespaces(look)
    found = {name: look.store.status(name) for name in names[:MOST_NAMESPACES]}
    facts = {"status": found, "not_looked_at": names[MOST_NAMESPACES:]}
    missing = [name for name, status in found.items() if status == _MISSING]
    if missing:
        why = f"the first file makes {', '.join(missing)}; only then the server says if we may"
        then = "If it may not: ask the administrator of the object store to make it."
        yield Line.note(about, f"{len(missing)} of {len(found)} are not there", why, then, facts)
    else:
        yield Line(about, f"all {len(found)} are there", facts=facts)


def _named(look: Look) -> set[str]:
    """Return the asset tables that the operator named: by a spec of his own, or a drop folder."""
    named = set()
    for drop in look.settings.drops.values():
        with suppress(RefusedError):  # which is told where the folder is looked at
            named.add(str(look.model.name_to_table(drop.table).full_name))
    if look.spec and look.settings.spec.source != "model":
        named |= {":".join(each.target) for each in look.spec.mappings if each.target}
    return named


def _namespaces(look: Look) -> list[str]:
    """Return the part of every object's name that is the same for all files of a mapping."""
    specs = [*([look.spec] if look.spec else []), *(each.spec for each in look.drops)]
    names = [each.object_name for spec in specs for each in spec.mappings if each.object_name]
    return sorted({name.partition("{")[0].rpartition("/")[0] for name in names})
