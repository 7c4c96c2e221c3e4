"""`deriva-watch run`: the daemon."""

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
        str | None, typer.Option("--log-format", help="json or console; overrides [log] format.")
    ] = None,
) -> None:
    """Run the daemon: watch folders and upload complete executions, until it is stopped.

    It logs every change of state as a JSON line on standard error. SIGTERM or Ctrl-C stops it
    within ten seconds; the next start continues interrupted uploads. SIGHUP reloads the settings;
    if they are wrong, that is logged and the old ones stay in use.

    Exit status 143 or 130 after a signal, 2 if the settings are wrong, 11 if another daemon has the
    journal, 12 if the journal is damaged: then the next start sets it aside and begins a new one.

    For example: deriva-watch run --config /etc/deriva-watch/config.toml
    """
    from deriva_watch.daemon.front import end
    from deriva_watch.daemon.process import serve

    load = partial(_load, config, log_format)
    signal = serve(load(), load)
    if as_json:
        print_json({"ended_by": Signals(signal).name, "exit_status": Exit.SIGNAL + signal})
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for the network would delay the exit; the journal is closed.
    end(Exit.SIGNAL + signal)


def _load(config: Path | None, log_format: str | None) -> "Settings":
    from deriva_watch.settings.model import load

    loaded = load(config, {"log": {"format": log_format}})
    if not loaded.watch and not loaded.drop:
        raise SettingsError(
            "there is nothing to watch",
            "the settings have no [[watch]] and no [[drop]]",
            "Add the folder that holds deriva-ml/: "
            '[[watch]] and below it prefix = "/data"; or add a drop folder.',
        )
    return loaded
