"""`deriva-watch run`: the daemon."""

import os
import sys
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, Exit, app


@app.command()
def run(
    config: ConfigOption = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="json or console; default: the settings'.")
    ] = None,
) -> None:
    """Watch, and upload what is complete, until stopped.

    Logs one JSON line on standard error for every change of state. Stops on SIGTERM or Ctrl-C
    within ten seconds; what was under way goes on at the next start.
    """
    from deriva_watch import settings
    from deriva_watch.daemon import serve

    signal = serve(settings.load(config, {"log": {"format": log_format}}))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for the network would hold the interpreter back; the journal is closed.
    os._exit(Exit.SIGNAL + signal)
