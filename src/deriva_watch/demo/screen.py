"""What people see: `status` while the demo is played, then what the check found."""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.prose import counted
from deriva_watch.demo.check import Check
from deriva_watch.demo.play import Folder, Outcome, Show, View
from deriva_watch.status import open_views, render_summary, summary
from deriva_watch.status.amounts import size
from deriva_watch.status.text.elements import cell, grid
from deriva_watch.status.text.elements import screen as terminal


@contextmanager
def screen(folder: Folder, *, silent: bool) -> Iterator[Show]:
    """Yield a function that shows views: not at all, live on a terminal, or as lines of stderr."""
    console = terminal()
    start_s, shown = time.monotonic(), dict[str, str]()
    if silent:
        yield lambda _: None
    elif console.is_terminal:
        with Live(console=console, transient=True) as live:
            yield lambda views: live.update(picture(folder, views))
    else:
        yield lambda views: _print_changes(views, shown, time.monotonic() - start_s)


def picture(folder: Folder, views: Sequence[View]) -> RenderableType:
    """Return a line for each execution, and below them what `status` shows."""
    table = grid()
    for view in views:
        execution = view.run.execution
        files = counted(len(execution.files), "file")
        table.add_row(cell(view.name, "bold"), execution.title, files)
    try:
        status = render_summary(summary(open_views(folder.journal_url), datetime.now(UTC)))
    except TroubleError as error:  # the daemon is still starting
        status = Text(error.why)
    return Group(table, Text(), status)


def _print_changes(views: Sequence[View], shown: dict[str, str], seconds: float) -> None:
    for view in views:
        if shown.get(view.run.rid) != view.state:
            shown[view.run.rid] = view.state
            why = f": {view.why}" if view.why else ""
            title = f"{view.name} {view.run.execution.title}"
            sys.stderr.write(f"{seconds:5.1f} s  {view.state:<9}  {title}{why}\n")


def render(folder: Folder, outcome: Outcome) -> Text:
    """Return how a demo ended."""
    figures, root = outcome.figures, quote(str(folder.root))
    verdict = ("Verified.", "bold green") if outcome.verified else ("Not verified!", "bold red")
    report = "" if outcome.verified else "\nPlease report it, with daemon.log."
    beside = Path(sys.executable).with_name("deriva-watch")
    program = "deriva-watch" if shutil.which("deriva-watch") else quote(str(beside))
    return Text.assemble(
        ("Does the server hold what was written?\n", "bold"),
        *map(_line, outcome.checks),
        verdict,
        f" {figures['files']} files ({size(figures['bytes'])}) of {figures['executions']} "
        f"executions became {figures['objects']} objects,\n{figures['rows']} rows and "
        f"{figures['links']} links in {outcome.seconds:.0f} s.{report}\n",
        ("\nLook around:\n", "bold"),
        f"  cd {root}\n  {program} status\n  {program} show {outcome.runs[-1].rid}\n"
        f"  {program} sandbox --data sandbox --listen {outcome.host} &\n"
        f"  {program} run\n  rm -r {root}\n",
    )


def _line(check: Check) -> Text:
    text = f"{check.name:<12} {check.expected}\n"
    if check.passed:
        return Text.assemble(("  ✔ ", "green"), text)
    return Text.assemble(("  ✘ ", "bold red"), (f"{text}{'found':>16} {check.found}\n", "red"))
