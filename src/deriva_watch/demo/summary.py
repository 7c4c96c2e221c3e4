"""What is said at the end of a demo: to programs, and to people who want to look around."""

import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any, Final

from rich.filesize import decimal
from rich.text import Text

from deriva_watch.core.completeness.observation import RECEIPT_NAME
from deriva_watch.demo.check import Check
from deriva_watch.demo.play import Folder, Outcome

_STORY: Final = """\
calibration.json, which two executions have,
is stored and recorded once and linked twice. The evaluation was silent for
longer than the daemon waits, but its status said Running. Scanner and sequencer
know nothing of deriva-ml: the daemon made their executions."""
_TROUBLE: Final = """\
What differs is marked above.
That must not happen: please report it, with what daemon.log says."""


def document(folder: Folder, outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as JSON; fields are only ever added."""
    return {
        **outcome.figures,
        "verified": outcome.verified,
        "seconds": outcome.seconds,
        "folder": str(folder.root),
        "checks": [asdict(check) | {"passed": check.passed} for check in outcome.checks],
    }


def render(folder: Folder, outcome: Outcome) -> Text:
    """Return the outcome for people."""
    figures = outcome.figures
    verdict = ("Verified.", "bold green") if outcome.verified else ("Not verified!", "bold red")
    said = _STORY if outcome.verified else _TROUBLE
    return Text.assemble(
        ("\nThe server was asked for everything\n", "bold"),
        *(_line(check) for check in outcome.checks),
        "\n",
        verdict,
        f" {figures['files']} files of {figures['executions']} executions became "
        f"{figures['objects']} objects, {figures['rows']} rows\n"
        f"and {figures['links']} links: {decimal(figures['bytes'])} in {outcome.seconds:.0f} s. "
        f"{said}\n",
        ("\nLook around\n", "bold"),
        *(f"  {words:<34} {about}".rstrip() + "\n" for words, about in _commands(folder, outcome)),
    )


def _line(check: Check) -> Text:
    if check.passed:
        return Text.assemble(("  ✔ ", "green"), f"{check.name:<12} {check.expected}\n")
    answer = f"{check.name:<12} {check.expected}\n{'found':>16} {check.found}\n"
    return Text.assemble(("  ✘ ", "bold red"), (answer, "red"))


def _commands(folder: Folder, outcome: Outcome) -> tuple[tuple[str, str], ...]:
    last, root, program = outcome.runs[-1], quote(str(folder.root)), _program()
    receipt = (last.root / RECEIPT_NAME).relative_to(folder.root)
    server = f"{program} sandbox --data {folder.sandbox.name} --listen {outcome.host}"
    return (
        (f"cd {root}", ""),
        (f"{program} status", "# what came in"),
        (f"{program} show {last.rid}", "# why it counted as complete; its files"),
        (f"less {receipt}", ""),
        (f"less {folder.log.name}", "# every step, one JSON object a line"),
        (f"{server} &", ""),
        (f"{program} run", "# with the server: go on watching"),
        (f"rm -r {root}", ""),
    )


def _program() -> str:
    """Return how `deriva-watch` is called from anywhere."""
    beside = Path(sys.executable).with_name("deriva-watch")
    return "deriva-watch" if shutil.which("deriva-watch") else quote(str(beside))
