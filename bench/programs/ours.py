"""Our engine over a tree, once it has uploaded another and so imported all."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

from bench.programs.report import order, report
from deriva_watch.commands.upload import uploading
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.unit import Unit
from deriva_watch.settings.model import load


def _upload(config: str, tree: str, unit: str = LOOSE) -> int:
    """Upload a tree, or an execution in it; return how many files are in the catalog."""
    with uploading(load(Path(config)), _ignore, threading.Event(), _ignore) as one_shot:
        result = one_shot.upload(Unit(Path(tree), unit))
    if result.record.state != "uploaded":
        raise RuntimeError(f"{result.record.state}: {result.record.what} {result.record.why}")
    return (result.files or Counter())["linked"]


def _ignore(*_: Any) -> None:
    return


if __name__ == "__main__":
    work = order()
    _upload(work["warm_config"], work["warm_tree"], work.get("warm_unit", LOOSE))
    count = work.get("amount")
    report(lambda: _upload(work["config"], work["tree"], work.get("unit", LOOSE)), count)
