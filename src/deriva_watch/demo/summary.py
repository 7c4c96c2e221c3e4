"""What is said at the end of a demo: to programs, and to people who want to look around."""

import shutil
import sys
from shlex import quote
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from deriva_watch.core.observation import RECEIPT_NAME
from deriva_watch.demo.check import Check
from deriva_watch.demo.play import Folder, Outcome


def document(folder: Folder, outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as JSON; fields are only ever added."""
    return {
        **outcome.figures,
        "verified": outcome.verified,
        "seconds": outcome.seconds,
        "folder": str(folder.root),
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "expected": check.expected,
                "found": check.found,
            }
            for check in outcome.checks
        ],
    }


def render(folder: Folder, outcome: Outcome) -> RenderableType:
    """Return the outcome for people."""
    figures = outcome.figures
    said = (
        f"{figures['files']} files of {figures['executions']} executions, "
        f"{decimal(figures['bytes'])}, became {figures['objects']} objects, {figures['rows']} rows "
        f"and {figures['links']} links in {outcome.seconds:.0f} s."
    )
    verdict = (
        Text("Verified.", "bold green") if outcome.verified else Text("Not verified!", "bold red")
    )
    return Group(
        Text("\nThe server was asked for everything:", "bold"),
        _checks(outcome.checks),
        Text.assemble("\n", verdict, " ", said),
        Text(
            "calibration.json is in two executions: stored and recorded once, linked twice.\n"
            "The evaluation was silent for longer than the daemon waits; its status said Running."
        ),
        Text("\nLook around", "bold"),
        _commands(folder, outcome),
    )


def _checks(checks: tuple[Check, ...]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for check in checks:
        mark = Text("  ✔", "green") if check.passed else Text("  ✘", "bold red")
        table.add_row(mark, check.name, Text(check.expected))
        if not check.passed:
            table.add_row("", "", Text(f"found {check.found}", "red"))
    return table


def _commands(folder: Folder, outcome: Outcome) -> Table:
    program, config = _program(), f"--config {quote(str(folder.config))}"
    last = outcome.runs[-1]
    server = f"--data {quote(str(folder.sandbox))} --listen {outcome.host}"
    table = Table.grid(padding=(0, 2, 0, 0))
    for about, text in (
        ("what came in", f"{program} status {config}"),
        ("one execution", f"{program} show {last.rid} {config}"),
        ("its receipt", str(last.root / RECEIPT_NAME)),
        ("the daemon's log", str(folder.log)),
        ("the server again", f"{program} sandbox {server}"),
        ("the daemon again", f"{program} run {config}"),
        ("remove it all", f"rm -r {quote(str(folder.root))}"),
    ):
        table.add_row(f"  {about}", Text(text, overflow="fold"))
    return table


def _program() -> str:
    return "deriva-watch" if shutil.which("deriva-watch") else f"{sys.executable} -m deriva_watch"
