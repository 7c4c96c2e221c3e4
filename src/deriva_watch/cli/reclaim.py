"""`deriva-watch reclaim`: make room, by deleting what is verified to be on the server."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.errors import SettingsError
from deriva_watch.core.orders.orders import Reclaim
from deriva_watch.core.prose import counted, printable

if TYPE_CHECKING:
    from deriva_watch.commands.reclaim import Candidate, Reclaimed

_NAMED: Final = 5  # of the files that stay
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@app.command()
def reclaim(
    rids: Annotated[list[str] | None, typer.Argument(metavar="RID…", help="Executions.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are uploaded.")] = False,
    older_than: Annotated[
        str,
        typer.Option(metavar="TIME", help="Only what was uploaded so long ago: 30d, 12h, 0."),
    ] = "30d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show it, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the log.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete the files of uploaded executions here, each verified once more at that moment.

    A file goes only if its bytes, read again, are those that the server has, asked again. The
    directory, its receipt, files of rows and what is not in the catalog stay. A running daemon
    does it. Exit status 0 if all that was shown is gone, 3 if something was kept.

    For example: deriva-watch reclaim --all --older-than 30d --dry-run
    """
    from deriva_watch.commands.orders.submit import asker
    from deriva_watch.commands.reclaim import Reclamation
    from deriva_watch.settings.model import load
    from deriva_watch.status import open_views

    if bool(rids) == everything:
        raise SettingsError(
            "cannot tell what to reclaim",
            "either RIDs or --all must be given",
            "`deriva-watch status` lists what there is; begin with --dry-run.",
        )
    order = Reclaim(
        by=asker(), reason=reason, rids=tuple(rids or ()), older_than_s=_seconds(older_than)
    )
    loaded = load(config)
    work = Reclamation(loaded, open_views(loaded.journal.url), order)
    found = work.candidates()
    going = [each for each in found if each.files]
    if not as_json:
        _show(found, older_than)
    if not dry_run and going:
        _confirm(sum(each.files for each in going), yes=yes, quiet=as_json)
    told: list[Reclaimed] = []
    if going and not dry_run:
        total = sum(each.files for each in going)
        with _progress(total, quiet=as_json or not sys.stderr.isatty()) as moved:
            told = list(work.carry_out(going, moved))
    if as_json:
        print_json(_document(found, told, dry_run=dry_run))
    elif told:
        _tell(told)
    files = sum(each.files for each in going)
    is_done = dry_run or sum(each.files for each in told) == files
    refused = bool(rids) and any(each.why for each in found)
    raise typer.Exit(Exit.DONE if is_done and not refused else Exit.REFUSED)


def _seconds(text: str) -> float:
    """Return the seconds that "30d" is."""
    found = re.fullmatch(r"(\d+(?:[.]\d+)?)([smhdw]?)", text.strip())
    with suppress(OverflowError):  # nothing is so old
        if found and (found[2] or not float(found[1])):
            return timedelta(seconds=float(found[1]) * _UNITS_S.get(found[2], 1)).total_seconds()
    raise SettingsError(
        f"cannot understand --older-than {text}",
        "it must be a number with s, m, h, d or w behind it",
        "For example: --older-than 30d; 0 is whatever is uploaded.",
    )


def _confirm(files: int, *, yes: bool, quiet: bool) -> None:
    if yes:
        return
    if quiet or not sys.stdin.isatty():
        raise SettingsError(
            f"{files} files are not deleted",
            "there is nobody to ask",
            "Give --yes to delete what --dry-run shows.",
        )
    try:
        agreed = typer.confirm(f"Delete these {files} files here? Each is verified once more")
    except typer.Abort:
        raise typer.Exit(Exit.SIGNAL + signal.SIGINT) from None
    if not agreed:
        print("nothing is deleted")
        raise typer.Exit(Exit.DONE)


def _show(found: list["Candidate"], older_than: str) -> None:
    for each in found:
        name = f"{each.unit.rid} ({each.unit.prefix})"
        if each.why:
            print(printable(f"{name}: stays, {each.why}"))
            continue
        print(printable(f"{name}: {counted(each.files, 'file')}, {each.size_bytes:,} bytes"))
        _name(each.stays)
    files, size = sum(e.files for e in found), sum(e.size_bytes for e in found)
    print(f"{counted(files, 'file')}, {size:,} bytes may go (uploaded at least {older_than} ago)")


def _tell(told: list["Reclaimed"]) -> None:
    for each in told:
        print(
            printable(
                f"{each.rid}: {counted(each.files, 'file')} deleted, {each.size_bytes:,} bytes free"
            )
        )
        if each.why:
            print(printable(f"    {counted(each.stay, 'file')} left: {each.why}"))
            print(printable(f"    {each.next or ''}"))
        _name(each.stays)
    files, size = sum(e.files for e in told), sum(e.size_bytes for e in told)
    print(f"{counted(files, 'file')} deleted, {size:,} bytes free")


def _name(stays: dict[str, str]) -> None:
    """Print why files stay, of the first few of them."""
    for path, why in sorted(stays.items())[:_NAMED]:
        print(printable(f"    stays: {path}: {why}"))
    if len(stays) > _NAMED:
        print(f"    and {len(stays) - _NAMED} more stay")


def _document(
    found: list["Candidate"], told: list["Reclaimed"], *, dry_run: bool
) -> dict[str, Any]:
    candidates = [
        {
            "rid": each.unit.rid,
            "prefix": each.unit.prefix,
            "files": each.files,
            "size_bytes": each.size_bytes,
            "stays": each.stays,
            "why": each.why,
        }
        for each in found
    ]
    return {
        "dry_run": dry_run,
        "candidates": candidates,
        "reclaimed": [asdict(each) for each in told],
        "files": sum(each.files for each in told),
        "size_bytes": sum(each.size_bytes for each in told),
    }


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("deleted"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.update(task, completed=count)
