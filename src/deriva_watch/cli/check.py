"""`deriva-watch check`: everything that can be wrong, a line each."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer

from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable

if TYPE_CHECKING:
    from deriva_watch.commands.check import Line

# Of verdicts; their own names would load all that the checks need, for `--help` too.
MARKS: Final = {"good": "✓", "note": "!", "wrong": "✗", "away": "✗", "unseen": "-"}


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at everything that can be wrong: this host, the server, the catalog, the journal.

    ✓ is good, ✗ is in the way, ! works and should be known, - could not be looked at.

    Writes nothing on the server; into each root a hidden file of its own for a moment, to see
    whether changes are told. Exit status 2 if anything is in the way, 10 if that is only a server
    that does not answer.

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
                tell(line)
    status = _status(line for _, line in found)
    if as_json:
        lines = [document(title, line) for title, line in found]
        print_json({"good": status is Exit.DONE, "checks": lines})
    raise typer.Exit(status)


def tell(line: "Line") -> None:
    """Print a line for people."""
    print(f"  {MARKS[line.verdict]} {printable(f'{line.about}: {line.what}')}", flush=True)
    for more in filter(None, (line.why, line.next)):
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
    """Yield *lines*; where somebody looks on, show that the next one is being looked for."""
    while True:
        with _waiting(f"looking at {title}"):
            line = next(lines, None)
        if line is None:
            return
        yield line


def _waiting(what: str) -> AbstractContextManager[object]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)
