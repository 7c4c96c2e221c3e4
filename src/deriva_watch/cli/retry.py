"""`deriva-watch retry`: try refused and waiting executions again."""

from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app, print_json
from deriva_watch.cli.orders import PathsArgument, ReasonOption
from deriva_watch.core.errors import SettingsError


@app.command()
def retry(
    rid: Annotated[str | None, typer.Argument(metavar="RID", help="The execution.")] = None,
    paths: PathsArgument = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="All refused and waiting executions, except paused and cancelled ones."
        ),
    ] = False,
    this_catalog: Annotated[
        bool,
        typer.Option("--this-catalog", help="Confirm that the directory belongs to this catalog."),
    ] = False,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try an execution again, after the cause of its refusal has been fixed.

    It also undoes `cancel`: with RID for an execution, with RID and PATH for a file. Other refused
    files of that execution are tried again too. A file in the catalog is uploaded again if the
    server has lost its object or row. --all skips what is paused or cancelled. A running daemon
    does it within a second; otherwise the next `run` or `upload` does.

    Exit status 2 if there is no such execution.

    For example: deriva-watch retry --all
    """
    from deriva_watch.commands.orders.submit import asker, give
    from deriva_watch.core.orders.orders import Retry
    from deriva_watch.settings.model import load

    if (rid is None) != everything or (everything and paths):
        raise SettingsError(
            "cannot tell what to try again",
            "give either one RID or --all",
            "`deriva-watch status` lists what is refused.",
        )
    loaded, files = load(config), tuple(paths or ())
    order = Retry(rid=rid, paths=files, this_catalog=this_catalog, by=asker(), reason=reason)
    given = give(loaded, order)
    if as_json:
        told = {"ordered": rid or "all", "this_catalog": this_catalog, "executions": given.rids}
        print_json({**told, "paths": files, "daemon": given.daemon})
    elif not given.rids:
        print("no execution is refused or waiting")
    else:
        when = "now" if given.daemon else "by the next `deriva-watch run` or `upload`"
        print(f"{rid or 'all'} tried again {when}; `deriva-watch status` shows the progress")
