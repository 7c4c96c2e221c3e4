"""`deriva-watch check`: everything that can be wrong, a line each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

import typer

from deriva_watch.checks import Line, Verdict, check_all
from deriva_watch.cli.app import ConfigOption, Exit, JsonOption, app, print_json
from deriva_watch.core.prose import printable

MARKS: Final = {
    Verdict.GOOD: "✓",
    Verdict.NOTE: "!",
    Verdict.WRONG: "✗",
    Verdict.AWAY: "✗",
    Verdict.UNSEEN: "-",
}


@app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at everything that can be wrong: this host, the server, the catalog, the journal.

    ✓ is good, ✗ is in the way, ! works and should be known, - could not be looked at.

    Writes nothing on the server; into each root a hidden file of its own for a moment, to see
    whether changes are told. Exit status 2 if anything is in the way, 10 if that is only a server
    that does not answer.
    """
    found: list[tuple[str, Line]] = []
    for part in check_all(config):
        if not as_json:
            print(part.title)
        with waiting(f"looking at {part.title}"):
            for line in part.lines:
                found.append((part.title, line))
                if not as_json:
                    tell(line)
    status = _status(line for _, line in found)
    if as_json:
        lines = [document(title, line) for title, line in found]
        print_json({"good": status is Exit.DONE, "checks": lines})
    raise typer.Exit(status)


def tell(line: Line) -> None:
    """Print a line for people."""
    print(f"  {MARKS[line.verdict]} {printable(f'{line.about}: {line.what}')}", flush=True)
    for more in filter(None, (line.why, line.next)):
        print(f"      {printable(more)}", flush=True)


def _status(lines: Iterator[Line]) -> Exit:
    verdicts = {line.verdict for line in lines}
    if Verdict.WRONG in verdicts:
        return Exit.USAGE
    return Exit.SERVER_AWAY if Verdict.AWAY in verdicts else Exit.DONE


def document(title: str, line: Line) -> dict[str, Any]:
    """Return a line for programs."""
    good = line.verdict in {Verdict.GOOD, Verdict.NOTE}
    return {"part": title, "good": good, **asdict(line)}


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something is done, where somebody looks on."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield
