"""`deriva-watch resume`: end a pause."""

from deriva_watch.cli.app import ConfigOption, JsonOption, app
from deriva_watch.cli.orders import ReasonOption, RidArgument, print_order, uploads_of


@app.command()
def resume(
    rid: RidArgument = None,
    reason: ReasonOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Resume paused uploads: all of them, or one execution.

    An execution that was paused by its RID stays paused when all uploads resume.

    Exit status 2 if there is no such execution.

    For example: deriva-watch resume
    """
    from deriva_watch.commands.orders.submit import asker, give
    from deriva_watch.core.orders.orders import Resume
    from deriva_watch.settings.model import load

    order = Resume(rid=rid, by=asker(), reason=reason)
    given = give(load(config), order)
    text = f"{uploads_of(rid)} resumed; `deriva-watch status` shows the progress."
    print_order(order, given.rids, given.daemon, text, as_json=as_json)
