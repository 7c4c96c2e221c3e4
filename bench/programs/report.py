"""How a program says what its work has cost."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def order() -> dict[str, Any]:
    """Return the order of this program."""
    return json.loads(Path(sys.argv[1]).read_text())


def report(work: Callable[[], float], amount: float | None = None) -> None:
    """Do the work, and print what it has cost as a line of JSON.

    Its amount is what it returns, if that is not known otherwise.
    """
    cpu_s, begun_s = _cpu_s(), time.monotonic()
    done = work()
    figure = {
        "amount": done if amount is None else amount,
        "seconds": time.monotonic() - begun_s,
        "cpu_s": _cpu_s() - cpu_s,
        "peak_mib": peak_mib(os.getpid()),
    }
    sys.stdout.write(json.dumps(figure) + "\n")
    sys.stdout.flush()


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_mib(pid: int) -> float:
    """Return the largest resident memory of a process, or 0 if it has ended.

    Not by `getrusage`, which begins with the memory of the process that started it.
    """
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0
