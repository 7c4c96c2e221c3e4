"""Whether the catalog can be read, and what we may do there and in the object store."""

from collections.abc import Iterator

from deriva_watch.assembly import read_model
from deriva_watch.checks.line import Line
from deriva_watch.checks.look import Look, Reached


def reads(look: Look) -> Iterator[Line]:
    """Read the model of the catalog."""
    look.model = read_model(look.catalog)
    look.reached = Reached.MODEL
    about = f"catalog {look.settings.server.catalog}"
    assets = [str(table.full_name) for table in look.model.find_assets()]
    facts = {"tables": len(look.model.tables), "asset_tables": assets}
    what = f"{len(look.model.tables)} tables, {len(assets)} of them for files"
    if assets:
        yield Line(about, what, facts=facts)
        return
    why = "no table has the columns URL, Filename, Length and MD5, so that no file can go there"
    yield Line.wrong(about, what, why, "See whether [server] catalog is what you meant.", facts)
