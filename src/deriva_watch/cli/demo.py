"""`deriva-watch demo`: everything at work, on its own server."""

import json
import signal
import tempfile
from pathlib import Path
from types import FrameType
from typing import Annotated, Final

import typer

from deriva_watch.cli.app import Exit, JsonOption, app
from deriva_watch.core.errors import SettingsError

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A new or empty folder for everything. Default: a temporary folder.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Upload five example executions to a server on this machine, in about half a minute.

    Starts a small Deriva server and the daemon, and writes files as real programs do:

    - an analysis whose directory was there before the daemon,
    - a microscope whose paths hold the metadata; .complete is its last file,
    - a training run with a manifest and a model of 60 MB, which pauses for 6 s,
    - a scanner that drops DICOM images and knows nothing of deriva-ml,
    - a sequencer that drops a run folder; CopyComplete.txt is its last file.

    Then it compares every object and row on the server with the files. Exit status 0 only if
    everything is there exactly once. Everything is in one folder, which is kept.

    For example: deriva-watch demo --json
    """
    from deriva_watch.demo.play import Folder, play
    from deriva_watch.demo.screen import render, screen
    from deriva_watch.status import show

    folder = Folder(_empty(data))
    if not as_json:
        print(f"Server, daemon and example programs run in {folder.root}\n")
    for each in _SIGNALS:
        signal.signal(each, _leave)
    with screen(folder, silent=as_json) as shown:
        outcome = play(folder, shown)
    if as_json:
        print(json.dumps(outcome.document() | {"folder": str(folder.root)}))
    else:
        show(render(folder, outcome))
    raise typer.Exit(Exit.DONE if outcome.verified else Exit.BUG)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End the demo, and with it the server and the daemon; a second signal does not disturb it."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _empty(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="deriva-watch-demo-"))
    why = ""
    try:
        data.mkdir(parents=True, exist_ok=True)
        if any(data.iterdir()):
            why = "it is not empty, and the demo needs an empty folder"
    except OSError as error:
        why = str(error)
    if why:
        then = "Name a new folder with --data."
        raise SettingsError(f"cannot use the folder {data}", why, then)
    return data.absolute()
