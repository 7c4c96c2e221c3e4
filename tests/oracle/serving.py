"""Sandboxes, a child each: `python serving.py`, jobs as of `forks`."""

import os
from pathlib import Path
from typing import Any

from forks import answer_jobs, tell

from deriva_watch.sandbox.server import serve


def _serve(job: dict[str, Any]) -> None:
    paths = {name: Path(job[name]) for name in ("data", "schema", "rows", "faults") if name in job}
    serve(**(job | paths), announce=lambda ready: tell({**ready, "pid": os.getpid()}))


if __name__ == "__main__":
    answer_jobs(_serve)
