"""`deriva-watch check`: finds what is wrong, one line each."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable

if TYPE_CHECKING:
    from deriva_watch.commands.check import Line

# Of verdicts; their own names would load all that the checks need, for `--help` too.
MARKS: Final = {"good": "✓", "note": "!", "wrong": "✗", "away": "✗", "unseen": "-"}


@app.command()
def check(
    config: ConfigOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show the details of every root.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check the settings, this host, the server, the catalog and the journal for problems.

    ✓ is good; ✗ is wrong; ! works, with a limitation; - was not checked.

    Nothing is written to the server. To test whether file events arrive, a hidden file is briefly
    created in each watched folder. Exit status 2 if anything is wrong, 10 if only the server does
    not answer.

    For example: deriva-watch check
    """
    from deriva_watch.commands.check import check_all

    found: list[tuple[str, Line]] = []
    for part in check_all(config):
        if not as_json:
            print(part.title)
        for line in awaited(part.lines, part.title):
            found.append((part.title, line))
            if not as_json:
                print_line(line, verbose=verbose)
    status = _status(line for _, line in found)
    if as_json:
        lines = [document(title, line) for title, line in found]
        print_json({"good": status is Exit.DONE, "checks": lines})
    raise typer.Exit(status)


def print_line(line: "Line", *, verbose: bool = False) -> None:
    """Print a line for people."""
    print(f"  {MARKS[line.verdict]} {printable(f'{line.about}: {line.what}')}", flush=True)
    for more in filter(None, (line.why, line.next, *(line.details if verbose else ()))):
        print(f"      {printable(more)}", flush=True)


def _status(lines: "Iterator[Line]") -> Exit:
    verdicts = {line.verdict for line in lines}
    if "wrong" in verdicts:
        return Exit.USAGE
    return Exit.SERVER_AWAY if "away" in verdicts else Exit.DONE


def document(title: str, line: "Line") -> dict[str, Any]:
    """Return a line for programs."""
    good = line.verdict in {"good", "note"}
    return {"part": title, "good": good, **asdict(line)}


def awaited(lines: "Iterator[Line]", title: str) -> "Iterator[Line]":
    """Yield *lines*; on a terminal, show that the next check is running."""
    while True:
        with _waiting(f"checking {title}"):
            line = next(lines, None)
        if line is None:
            return
        yield line


def _waiting(what: str) -> AbstractContextManager[object]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)
