"""`deriva-watch retry`: try again what was refused or waits."""

from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError


@app.command()
def retry(
    rid: Annotated[str | None, typer.Argument(metavar="RID", help="The execution.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything refused or waiting.")
    ] = False,
    this_catalog: Annotated[
        bool,
        typer.Option("--this-catalog", help="It belongs to this catalog, whatever the signs say."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try an execution again, once the cause of its refusal is mended.

    A running daemon takes the order within a second; without one it waits for the next start of a
    daemon, or the next `upload`.
    """
    from deriva_watch import retrying, settings
    from deriva_watch.core.orders import Retry
    from deriva_watch.orders import Orders, asker
    from deriva_watch.status import open_views

    if (rid is None) != everything:
        raise SettingsError(
            "cannot tell what to try again",
            "either one RID or --all must be given",
            "`deriva-watch status` lists what is refused.",
        )
    loaded = settings.load(config)
    order = Retry(rid=rid, this_catalog=this_catalog, by=asker())
    reader = open_views(loaded.journal.url)
    rids = sorted({record.rid for record in retrying.check(order, reader)})
    if rids:
        Orders.of(loaded).leave(order)
    if as_json:
        print_json({"ordered": rid or "all", "this_catalog": this_catalog, "executions": rids})
    elif not rids:
        print("nothing is refused or waits")
    else:
        when = "is" if reader.daemon() else "at the next `deriva-watch run` or `upload` is"
        print(f"{rid or 'everything'} {when} tried again; `deriva-watch status` shows how it goes")
