"""`deriva-watch verify`: compare what was uploaded with what the server has now."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.prose import counted, printable

if TYPE_CHECKING:  # heavy
    from deriva_watch.core.removal.verification import Verified


@app.command()
def verify(
    rids: Annotated[
        list[str] | None,
        typer.Argument(metavar="RID…", help="Executions, or units of drop folders."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All executions in the journal or with a receipt.")
    ] = False,
    server_only: Annotated[
        bool, typer.Option("--server-only", help="Do not read the local files.")
    ] = False,
    read_back: Annotated[
        bool,
        typer.Option(
            "--bytes",
            help="Read every stored object and hash it too. If interrupted, it continues where it "
            "stopped.",
        ),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--receipt-schema", help="Print the JSON schema of receipts and exit.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the server for every object, row and link again, and compare.

    They are compared with the journal, the receipt and the local files that are still there.
    Nothing is changed, except that receipts get the date of this check. It works while the daemon
    runs, and with the receipts alone if the journal is lost. Exit status 0 if nothing differs, 3
    if anything does, 10 if the server cannot be reached.

    For example: deriva-watch verify --all
    """
    from deriva_watch.cli.verify_text import print_verified
    from deriva_watch.commands.verify import verifying
    from deriva_watch.settings.model import load

    if schema:
        from deriva_watch.pipeline.receipt_schema import SCHEMA

        print_json(SCHEMA)
        return
    if bool(rids) == everything:
        raise SettingsError(
            "cannot tell what to verify",
            "give either RIDs or --all",
            "`deriva-watch status` lists the executions; or give --all.",
        )
    found: list[Verified] = []
    bar = _Bar(quiet=as_json or not sys.stderr.isatty())
    with verifying(load(config), bar.moved) as verifier:
        find = verifier.find
        subjects = find.named(rids) if rids else find.all()
        waiting = 0 if rids else find.unfinished()
        for subject in subjects:
            total = sum(file.size_bytes for file in subject.files)
            with bar.over(total * (read_back + (not server_only))):
                one = verifier.verify(subject, server_only=server_only, read_back=read_back)
            found.append(one)
            if not one.differences:
                verifier.keep(subject, one, server_only=server_only, read_back=read_back)
            if not as_json:
                print_verified(one)
    is_well = not any(one.differences for one in found)
    if as_json:
        told = [{"well": not one.differences, **asdict(one)} for one in found]
        print_json({"well": is_well, "executions": told, "in_transit": waiting})
    elif waiting:
        skipped = "is not finished yet and was" if waiting == 1 else "are not finished yet and were"
        print(f"{counted(waiting, 'execution')} {skipped} skipped")
    elif not found:
        print("there is nothing to verify")
    raise typer.Exit(Exit.DONE if is_well else Exit.REFUSED)


class _Bar:
    """Shows on a terminal how much of an execution has been read, and the current file."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        columns = BarColumn(), DownloadColumn(), TextColumn("{task.description}", markup=False)
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=quiet)

    @contextmanager
    def over(self, size_bytes: int) -> Iterator[None]:
        """Show it while an execution of *size_bytes* is verified."""
        self._task = self._progress.add_task("", total=size_bytes)
        with self._progress:
            yield
        self._progress.remove_task(self._task)

    def moved(self, path: str, count: int) -> None:
        """Show that *count* more bytes of a file were read."""
        name = printable(path.rpartition("/")[2])[:40]
        self._progress.update(self._task, advance=count, description=name)
