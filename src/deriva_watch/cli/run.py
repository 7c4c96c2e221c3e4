"""`deriva-watch run`: the daemon."""

import os
import sys
from functools import partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Annotated

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError

if TYPE_CHECKING:  # heavy
    from deriva_watch.settings.model import Settings


@app.command()
def run(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    log_format: Annotated[
        str | None, typer.Option("--log-format", help="json or console; default: the settings'.")
    ] = None,
) -> None:
    """Watch, and upload what is complete, until stopped.

    Logs one JSON line on standard error for every change of state. Stops on SIGTERM or Ctrl-C
    within ten seconds; what was under way goes on at the next start. SIGHUP has the settings read
    anew; what cannot be used is told, and changes nothing.

    Exit status 143 or 130 after a signal, 2 if the settings are wrong, 11 if another daemon has the
    journal, 12 if it is damaged: then it is set aside, and the next start begins a new one.

    For example: deriva-watch run --config /etc/deriva-watch/config.toml
    """
    from deriva_watch.daemon.process import serve

    load = partial(_load, config, log_format)
    signal = serve(load(), load)
    if as_json:
        print_json({"ended_by": Signals(signal).name, "exit_status": Exit.SIGNAL + signal})
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for the network would hold the interpreter back; the journal is closed.
    os._exit(Exit.SIGNAL + signal)


def _load(config: Path | None, log_format: str | None) -> "Settings":
    from deriva_watch.settings.model import load

    loaded = load(config, {"log": {"format": log_format}})
    if not loaded.watch and not loaded.drop:
        raise SettingsError(
            "there is nothing to watch",
            "the settings have no [[watch]] and no [[drop]]",
            "Add one that names the folder which holds deriva-ml/: "
            '[[watch]] and below it prefix = "/data"; or a drop folder.',
        )
    return loaded
