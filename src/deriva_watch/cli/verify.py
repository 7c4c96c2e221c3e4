"""`deriva-watch verify`: ask the server again for all that was uploaded, and compare."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.prose import counted, printable
from deriva_watch.core.removal.verification import Verified


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
    from deriva_watch.commands.verify import verifying
    from deriva_watch.settings.model import load

    if schema:
        from deriva_watch.pipeline.receipt_schema import SCHEMA

        print_json(SCHEMA)
        return
    if bool(rids) == everything:
        raise SettingsError(
            "cannot tell what to verify",
            "either RIDs or --all must be given",
            "`deriva-watch status` lists what there is; or give --all.",
        )
    found: list[Verified] = []
    bar = _Bar(quiet=as_json or not sys.stderr.isatty())
    with verifying(load(config), bar.moved) as verifier:
        find = verifier.find
        subjects = find.named(rids) if rids else find.all()
        waiting = 0 if rids else find.on_their_way()
        for subject in subjects:
            with bar.over(sum(file.size_bytes for file in subject.files)):
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
    size = f"{counted(one.files, 'file')}, {one.size_bytes:,} bytes"
    here = f"{one.hashed} read again here, {one.absent} not here any more"
    name = f"{one.rid} ({one.prefix})" if one.prefix else one.rid
    if not one.differences:
        print(printable(f"✓ {name}: the server holds all of it: {size}; {here}"))
    else:
        found = counted(len(one.differences), "difference")
        print(printable(f"✗ {name}: {found} in {size}; {here}"))
        if one.well_at:
            print(printable(f"    all was well on {one.well_at}"))
    for each in one.differences:
        print(f"    {printable(each.what)}")
        print(f"        {printable(each.why)}")
        print(f"        {printable(each.next)}")
    for note in one.notes:
        print(f"    note: {printable(note)}")


class _Bar:
    """Shows on a terminal how much of an execution is read, and which file is at hand."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = BarColumn(), DownloadColumn(), TextColumn("{task.description}", markup=False)
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=quiet)

    @contextmanager
    def over(self, size_bytes: int) -> Iterator[None]:
        """Show it while an execution of so many bytes is verified."""
        self._task = self._progress.add_task("", total=size_bytes)
        with self._progress:
            yield
        self._progress.remove_task(self._task)

    def moved(self, path: str, count: int) -> None:
        """Tell of bytes that were read of a file."""
        name = printable(path.rpartition("/")[2])[:40]
        self._progress.update(self._task, advance=count, description=name)
