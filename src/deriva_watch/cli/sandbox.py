"""`deriva-watch sandbox`: a Deriva server for a dry run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deriva_watch.cli.app import app
from deriva_watch.core.errors import SettingsError


@app.command()
def sandbox(
    data: Annotated[Path, typer.Option(help="Folder for all data; created if it is missing.")],
    listen: Annotated[
        str, typer.Option(help="Loopback ADDRESS:PORT; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    schema: Annotated[
        Path | None,
        typer.Option(help="JSON file with the /schema document of a new folder's catalog."),
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="JSON file with the first rows of a new folder's catalog.")
    ] = None,
    latency_ms: Annotated[float, typer.Option(help="Milliseconds to wait before each answer.")] = 0,
    faults: Annotated[
        Path | None,
        typer.Option(
            help="JSON or TOML file with faults to inject: status, reset, stall, slow, expire…"
        ),
    ] = None,
    catalog: Annotated[str, typer.Option(help="Id of a new folder's catalog.")] = "1",
    session_s: Annotated[
        float, typer.Option(help="Seconds until a session expires unless it is extended.")
    ] = 30 * 86400,
    profile: Annotated[
        str,
        typer.Option(
            help="`fast`: as fast as it can; `real`: with the times of real servers, which become "
            "slower with more than four connections."
        ),
    ] = "fast",
    _as_json: Annotated[
        bool, typer.Option("--json", help="No effect: the output is always JSON.")
    ] = False,
) -> None:
    """Run a small Deriva server (ERMrest, Hatrac, login) on this machine, for tests and trials.

    When it is ready it prints one JSON line: url, host, catalog, owner_credential_file,
    writer_credential_file, data. Acknowledged data survives a kill. It runs until it is stopped.

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
            profile=profile,
            announce=lambda ready: print(json.dumps(ready), flush=True),
        )
    except (ValueError, OSError) as error:
        raise SettingsError(
            "the sandbox cannot start",
            str(error),
            "`deriva-watch sandbox --help` shows the options.",
        ) from error
