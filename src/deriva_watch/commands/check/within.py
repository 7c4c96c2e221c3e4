"""Checks of a root have a time limit: its file system may not answer."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from shlex import quote
from typing import Final

from deriva_watch.commands.check.finding import Line

LONGEST_S: Final = 20.0  # each check of a root looks for a few seconds


def in_time(about: str, root: Path, lines: Callable[[], Iterable[Line]]) -> list[Line]:
    """Return the *lines* about a root, or the one that says that it does not answer.

    The thread that waits for it is left behind.
    """
    found: Future[list[Line]] = Future()

    def ask() -> None:
        try:
            found.set_result(list(lines()))
        except BaseException as error:  # noqa: BLE001  # the caller gets it
            found.set_exception(error)

    threading.Thread(target=ask, name=about, daemon=True).start()
    try:
        return found.result(LONGEST_S)
    except TimeoutError:
        if found.done():  # the check itself raised it
            raise
        why = f"a call to its file system has not returned within {LONGEST_S:.0f} s"
        then = f"Check the disk or share that it is on: `ls {quote(str(root))}` may hang too."
        return [Line.wrong(about, "does not answer", why, then)]
