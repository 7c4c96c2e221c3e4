"""`deriva-watch reclaim`: free disk space by deleting files that are proved to be on the server."""

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
from deriva_watch.core.prose import counted, printable
from deriva_watch.core.read_back import ReadBack

if TYPE_CHECKING:
    from deriva_watch.commands.reclaim import Candidate, Result

_NAMED: Final = 5  # of the files that are kept
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@app.command()
def reclaim(
    rids: Annotated[list[str] | None, typer.Argument(metavar="RID…", help="Executions.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All uploaded executions.")] = False,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Only executions uploaded at least this long ago: 30d, 12h, 0."
        ),
    ] = "30d",
    read_back: Annotated[
        ReadBack | None,
        typer.Option(
            help="How much of each stored object is read and compared before its file is deleted: "
            "its ends and a random block, all of it, or nothing. Default: reclaim.read_back."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything; delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the log.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete local files of uploaded executions; each is verified again immediately before.

    A file is deleted only if its bytes, read again, are what the server still holds. The
    directory, its receipt, table files and files that are not in the catalog are kept. A running
    daemon does the work. Exit status 0 if all listed files were deleted, 3 if some were kept.
    --dry-run does the same checks and ends with the same status.

    For example: deriva-watch reclaim --all --older-than 30d --dry-run
    """
    from deriva_watch.commands.orders.submit import asker
    from deriva_watch.commands.reclaim import ReclaimRun
    from deriva_watch.core.orders.orders import Reclaim
    from deriva_watch.settings.model import load
    from deriva_watch.status import open_views

    if bool(rids) == everything:
        raise SettingsError(
            "cannot tell what to reclaim",
            "give either RIDs or --all",
            "`deriva-watch status` lists the executions; start with --dry-run.",
        )
    order = Reclaim(
        by=asker(),
        reason=reason,
        rids=tuple(rids or ()),
        older_than_s=_seconds(older_than),
        read_back=read_back,
    )
    loaded = load(config)
    work = ReclaimRun(loaded, open_views(loaded.journal.url), order)
    found = work.candidates()
    files = sum(each.files for each in found)
    quiet = as_json or not sys.stderr.isatty()
    told: list[Result] = []
    going = 0
    if dry_run:
        if files:
            with _progress("checked", files, quiet=quiet) as moved:
                found = work.rehearse(found, moved)
        going = sum(each.files for each in found)
    if not as_json:
        _show(found, older_than)
    if files and not dry_run:
        _confirm(files, yes=yes, quiet=as_json)
        with _progress("deleted", files, quiet=quiet) as moved:
            told = list(work.carry_out([each for each in found if each.files], moved))
        going = sum(each.files for each in told)
    if as_json:
        print_json(_document(found, told, dry_run=dry_run))
    elif told:
        _print_results(told)
    refused = bool(rids) and any(each.why for each in found)
    raise typer.Exit(Exit.DONE if going == files and not refused else Exit.REFUSED)


def _seconds(text: str) -> float:
    """Return the seconds that "30d" is."""
    found = re.fullmatch(r"(\d+(?:[.]\d+)?)([smhdw]?)", text.strip())
    with suppress(OverflowError):  # no upload is that old
        if found and (found[2] or not float(found[1])):
            return timedelta(seconds=float(found[1]) * _UNITS_S.get(found[2], 1)).total_seconds()
    raise SettingsError(
        f"cannot understand --older-than {text}",
        "it must be a number followed by s, m, h, d or w",
        "For example: --older-than 30d; 0 means all uploaded executions.",
    )


def _confirm(files: int, *, yes: bool, quiet: bool) -> None:
    if yes:
        return
    if quiet or not sys.stdin.isatty():
        raise SettingsError(
            f"{files} files are not deleted",
            "there is no terminal to ask for confirmation",
            "Give --yes to delete what --dry-run shows.",
        )
    try:
        agreed = typer.confirm(f"Delete these {files} local files? Each is checked again first")
    except typer.Abort:
        raise typer.Exit(Exit.SIGNAL + signal.SIGINT) from None
    if not agreed:
        print("nothing is deleted")
        raise typer.Exit(Exit.DONE)


def _show(found: list["Candidate"], older_than: str) -> None:
    for each in found:
        name = f"{each.unit.rid} ({each.unit.prefix})"
        if each.why:
            print(printable(f"{name}: kept: {each.why}"))
            continue
        print(printable(f"{name}: {_amount(each.files, each.size_bytes)}"))
        _name(each.stays)
    files, size = sum(e.files for e in found), sum(e.size_bytes for e in found)
    since = "" if older_than == "0" else f" that were uploaded at least {older_than} ago"
    print(f"Would delete {_amount(files, size)}{since}.")


def _print_results(told: list["Result"]) -> None:
    for each in told:
        print(printable(f"{each.rid}: deleted {_amount(each.files, each.size_bytes)}"))
        if each.why:
            print(printable(f"    {counted(each.stay, 'file')} kept: {each.why}"))
            print(printable(f"    {each.next or ''}"))
        _name(each.stays)
    files, size = sum(e.files for e in told), sum(e.size_bytes for e in told)
    print(f"Deleted {_amount(files, size)}.")


def _name(stays: dict[str, str]) -> None:
    """Print why files are kept, for the first few of them."""
    for path, why in sorted(stays.items())[:_NAMED]:
        print(printable(f"    kept: {path}: {why}"))
    if len(stays) > _NAMED:
        print(f"    and {len(stays) - _NAMED} more are kept")


def _amount(files: int, size_bytes: int) -> str:
    from rich.filesize import decimal

    return f"{counted(files, 'file')} ({decimal(size_bytes)})"


def _document(found: list["Candidate"], told: list["Result"], *, dry_run: bool) -> dict[str, Any]:
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
def _progress(label: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.update(task, completed=count)
