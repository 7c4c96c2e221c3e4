"""`deriva-watch cancel`: stop the upload of an execution, or of some of its files."""

from shlex import quote
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app
from deriva_watch.cli.orders import PathsArgument, ReasonOption, now, print_order
from deriva_watch.core.prose import counted


@app.command()
def cancel(
    rid: Annotated[str, typer.Argument(metavar="RID", help="The execution.")],
    paths: PathsArgument = None,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the upload of an execution, or of single files of it, until `retry`.

    A running upload stops within one block of data or one request, and its upload jobs are
    cancelled on the server. What is already in the catalog stays there. The execution is then
    refused, and stays refused even if files in its directory change. If only files are cancelled,
    the others are uploaded, and the execution is refused with the names of the cancelled files.

    Exit status 2 if there is no such execution or file, or if it is already uploaded.

    For example: deriva-watch cancel 4-AB2C
    """
    from deriva_watch.commands.orders.submit import asker, give
    from deriva_watch.core.orders.orders import Cancel
    from deriva_watch.settings.model import load

    order = Cancel(rid=rid, paths=tuple(paths or ()), at=now(), by=asker(), reason=reason)
    given = give(load(config), order)
    files = f"{counted(len(order.paths), 'file')} of {rid}" if order.paths else rid
    again = " ".join(map(quote, (rid, *order.paths[:1])))
    text = (
        f"Upload of {files} cancelled; what is already in the catalog stays there. "
        f"Undo: `deriva-watch retry {again}`."
    )
    print_order(order, given.rids, given.daemon, text, as_json=as_json)
