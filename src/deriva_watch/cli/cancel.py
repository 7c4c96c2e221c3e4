"""`deriva-watch cancel`: stop working on an execution, or on files of it."""

from shlex import quote
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app
from deriva_watch.cli.orders import PathsArgument, ReasonOption, now, tell, work_on
from deriva_watch.core.prose import counted


@app.command()
def cancel(
    rid: Annotated[str, typer.Argument(metavar="RID", help="The execution.")],
    paths: PathsArgument = None,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop working on an execution, or on single files of it, until `retry`.

    What is under way is put down at the next block of bytes or request, and its upload jobs are
    cancelled on the server. What is in the catalog by then stays there. The execution is refused
    then, and stays so whatever changes in its directory; where files alone are cancelled, their
    neighbours go up, and the execution is refused with the names of the files.

    Exit status 2 if there is no such execution or file, or if it is uploaded.

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
        f"{work_on(files)} is put down; what is in the catalog by then stays there. "
        f"`deriva-watch retry {again}` takes it up again."
    )
    tell(order, given.rids, given.daemon, text, as_json=as_json)
