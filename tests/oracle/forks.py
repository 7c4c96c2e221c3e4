"""A process that has its imports behind it, and forks a child for every job.

A sandbox is then there in hundredths of a second, and deriva-py, which keeps much for the life of
its process, finds a new one each time.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def answer_jobs(work: Callable[[dict[str, Any]], None]) -> None:
    """Fork a child for every job on stdin, a JSON object a line, and let it *work*.

    It says what it has to say with `tell`. When stdin ends, all children do.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a child
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                work(json.loads(line))
            except BaseException:  # noqa: BLE001  # whoever sent the job shall hear of it
                tell({"broke": traceback.format_exc()})
            os._exit(0)
    os.killpg(0, signal.SIGTERM)


def tell(answer: dict[str, Any]) -> None:
    """Write the answer to a job."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Forks:
    """The process that runs *script*, seen from outside.

    Args:
        script: A program that calls `answer_jobs`.
        folder: Its HOME, and where what it says to nobody is kept.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._said = (folder / f"{script.stem}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=os.environ | {"HOME": str(folder)},
            start_new_session=True,  # it ends its children as a group
        )

    def ask(self, **job: Any) -> dict[str, Any]:
        """Give it a job and return the answer."""
        self._process.stdin.write(json.dumps(job, default=str) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "broke" not in answer, answer["broke"]
        return answer

    def close(self) -> None:
        """End it and all its children."""
        with self._process, self._said:
            self._process.stdin.close()
            self._process.wait()
