"""`deriva-watch verify`: ask the server again for all that was uploaded, and compare."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.prose import printable
from deriva_watch.core.verification import Verified


@app.command()
def verify(
    rids: Annotated[
        list[str] | None, typer.Argument(metavar="RID…", help="Executions, or units.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that are in the journal, or have a receipt.")
    ] = False,
    server_only: Annotated[
        bool, typer.Option("--server-only", help="Read nothing that lies on this machine.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--receipt-schema", help="Print the JSON schema of receipts, and end.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the server again for every object, row and link, and compare.

    With the journal, the receipt, and the bytes that still lie here. Nothing is changed. It works
    while the daemon runs, and by the receipts alone where the journal is lost. Exit status 0 if
    all is well, 3 if anything differs, 10 if the server cannot be reached.

    For example: deriva-watch verify --all
    """
    from deriva_watch import settings
    from deriva_watch.verifying import verifying

    if schema:
        from deriva_watch.receipt import SCHEMA

        print_json(SCHEMA)
        return
    if bool(rids) == everything:
        raise SettingsError(
            "cannot tell what to verify",
            "either RIDs or --all must be given",
            "`deriva-watch status` lists what there is; or give --all.",
        )
    found: list[Verified] = []
    with (
        _progress(quiet=as_json or not sys.stderr.isatty()) as moved,
        verifying(settings.load(config), moved) as verifier,
    ):
        find = verifier.find
        subjects = find.named(rids) if rids else find.all()
        waiting = 0 if rids else find.on_their_way()
        for subject in subjects:
            found.append(one := verifier.verify(subject, server_only=server_only))
            if not one.differences:
                verifier.keep(subject, one, server_only=server_only)
            if not as_json:
                _tell(one)
    is_well = not any(one.differences for one in found)
    if as_json:
        told = [{"well": not one.differences, **asdict(one)} for one in found]
        print_json({"well": is_well, "executions": told, "on_their_way": waiting})
    elif waiting:
        print(f"{waiting} more are on their way, and not verified")
    elif not found:
        print("there is nothing to verify")
    raise typer.Exit(Exit.DONE if is_well else Exit.REFUSED)


def _tell(one: Verified) -> None:
    size = f"{one.files} files, {one.size_bytes:,} bytes"
    here = f"{one.hashed} read again here, {one.absent} not here any more"
    name = f"{one.rid} ({one.prefix})" if one.prefix else one.rid
    if not one.differences:
        print(printable(f"✓ {name}: the server holds all of it: {size}; {here}"))
    else:
        print(printable(f"✗ {name}: {len(one.differences)} differences in {size}; {here}"))
        if one.well_at:
            print(printable(f"    all was well on {one.well_at}"))
    for each in one.differences:
        print(f"    {printable(each.what)}")
        print(f"        {printable(each.why)}")
        print(f"        {printable(each.next)}")
    for note in one.notes:
        print(f"    note: {printable(note)}")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Any]:
    """Yield what is told of the files, and shows the one at hand on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.fields[files]} files"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=None, files=0)

        def moved(path: str, count: int) -> None:
            files = progress.tasks[0].fields["files"] + (count == 0)
            progress.update(task, description=printable(path), advance=count, files=files)

        yield moved
