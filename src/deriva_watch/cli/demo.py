"""`deriva-watch demo`: everything at work, on a server of its own."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from deriva_watch.cli.app import Exit, JsonOption, app
from deriva_watch.core.errors import SettingsError


@app.command()
def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="New or empty folder for everything; default: a temporary one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch six executions find their way into a catalog, in twenty seconds.

    Starts a Deriva server on this machine and the daemon, each as its own
    process, and plays programs that write files as real runs do:

    - a directory that was there before the daemon,
    - a microscope that puts metadata into paths and ends with .complete,
    - a training run with a manifest and a model of 60 MB, sent in pieces,
    - an evaluation that falls silent and goes on before it is done,
    - a scanner that drops DICOM images and knows nothing of deriva-ml,
    - a sequencer that drops a run and ends with CopyComplete.txt.

    Then asks the server, not the daemon, for every object and row. Exit
    status 0 only if all is there, once, as it was written. Nothing outside
    the folder is touched; it is kept, to look around in.

    For example: deriva-watch demo --json
    """
    from deriva_watch.demo import summary
    from deriva_watch.demo.play import Folder, play
    from deriva_watch.demo.screen import screen
    from deriva_watch.status import show

    folder = Folder(_empty(data))
    if not as_json:
        print(f"A server, the daemon and programs that write: {folder.root}\n")
    with screen(silent=as_json) as shown:
        outcome = play(folder, shown)
    if as_json:
        print(json.dumps(summary.document(folder, outcome)))
    else:
        show(summary.render(folder, outcome))
    raise typer.Exit(Exit.DONE if outcome.verified else Exit.BUG)


def _empty(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="deriva-watch-demo-"))
    try:
        data.mkdir(parents=True, exist_ok=True)
        used = any(data.iterdir())
    except OSError as error:
        raise SettingsError(
            f"cannot use the folder {data}", str(error), "Name another with --data."
        ) from error
    if used:
        raise SettingsError(
            f"cannot use the folder {data}",
            "it is not empty, and the demo counts what it finds on its server",
            f"Name a new folder with --data, or remove it: rm -r {data}",
        )
    return data.absolute()
