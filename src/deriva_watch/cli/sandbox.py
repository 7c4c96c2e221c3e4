"""`deriva-watch sandbox`: a Deriva server for a dry run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deriva_watch.cli.app import app
from deriva_watch.core.errors import SettingsError


@app.command()
def sandbox(
    data: Annotated[Path, typer.Option(help="Folder that holds everything; made if missing.")],
    listen: Annotated[
        str, typer.Option(help="Loopback address:port; port 0: any.")
    ] = "127.0.0.1:0",
    schema: Annotated[
        Path | None, typer.Option(help="A /schema document for a new folder.")
    ] = None,
    rows: Annotated[Path | None, typer.Option(help="First rows of a new folder, JSON.")] = None,
    latency_ms: Annotated[float, typer.Option(help="Wait before each answer.")] = 0,
    faults: Annotated[
        Path | None,
        typer.Option(help="Rules of what fails, JSON or TOML: status, reset, stall, slow, expire…"),
    ] = None,
    catalog: Annotated[str, typer.Option(help="Number of a new folder's catalog.")] = "1",
    session_s: Annotated[
        float, typer.Option(help="Seconds until a session ends that nobody extends.")
    ] = 30 * 86400,
    _as_json: Annotated[
        bool, typer.Option("--json", help="What it prints is JSON, with and without this.")
    ] = False,
) -> None:
    """Serve ERMrest, Hatrac and logins on loopback, on SQLite and a folder, until stopped.

    Prints one JSON line when it is ready: url, host, catalog, owner_credential_file,
    writer_credential_file, data. What was acknowledged is kept, also across a kill.

    Exit status 2 if it cannot start.

    For example: deriva-watch sandbox --data /tmp/sandbox
    """
    from deriva_watch.sandbox.server import serve

    try:
        serve(
            data,
            listen,
            schema=schema,
            rows=rows,
            latency_ms=latency_ms,
            faults=faults,
            catalog=catalog,
            session_s=session_s,
            announce=lambda ready: print(json.dumps(ready), flush=True),
        )
    except (ValueError, OSError) as error:
        raise SettingsError(
            "the sandbox cannot start", str(error), "`deriva-watch sandbox --help` tells what fits."
        ) from error
