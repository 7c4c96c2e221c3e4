"""Remembers which objects of a unit were read back: a long verification can be continued."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from deriva_watch.core.json_text import read_json

_LINE_BYTES: Final = 64 * 1024
_FRESH: Final = timedelta(days=7)  # a verification that began earlier is started again


@dataclass(slots=True)
class ReadMarks:
    """The objects that one verification of a unit has read back and found equal.

    Every object is one line of a file. If that cannot be written, only this process remembers.

    Attributes:
        path: The file.
        began_at: When the verification began, UTC.
        urls: The object versions.
    """

    path: Path
    began_at: datetime
    urls: set[str] = field(default_factory=set)

    @classmethod
    def resumed(cls, path: Path, now: datetime) -> Self:
        """Go on with a verification that did not end, or begin one."""
        made = cls(path, now)
        with suppress(OSError, ValueError, KeyError, TypeError):
            lines = _lines(path)
            began_at = datetime.fromisoformat(next(lines)["began_at"])
            if timedelta() <= now - began_at < _FRESH:
                made.began_at = began_at
                made.urls = {str(line["object"]) for line in lines}
                return made
        made.end()
        made._append({"began_at": now.isoformat()})
        return made

    def add(self, url: str) -> None:
        """Remember an object version."""
        self.urls.add(url)
        self._append({"object": url})

    def end(self) -> None:
        """Forget the verification: it has ended."""
        with suppress(OSError):
            self.path.unlink()

    def _append(self, said: dict[str, Any]) -> None:
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.open("a") as file:
                file.write(json.dumps(said) + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in iter(partial(file.readline, _LINE_BYTES), b""):
            if line.endswith(b"\n"):  # a killed process may leave half a line
                yield read_json(line)
