"""What holds the daemon up at this moment, for other processes to read.

The journal is about executions. That the server is away or that a folder is not there is about
the daemon: it stands in one small file beside the journal, and means nothing once the daemon has
ended.
"""

import json
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.errors import TroubleError

_NAME: Final = "hindrances.json"
_ROOM_BYTES: Final = 4096  # that the file has at least


class Hindrances:
    """What the daemon of a state directory waits for. Any thread may call.

    That the file cannot be written stops nothing: the same stands in the log.
    """

    def __init__(self, state_directory: Path) -> None:
        """Begin with none, whatever an earlier daemon left."""
        self._path = state_directory / _NAME
        self._known: dict[str, dict[str, object]] = {}
        self._lock = threading.Lock()
        self._write()

    def put(self, about: str, error: TroubleError | None) -> bool:
        """Keep what is in the way of *about*, None: nothing any more; True: that is news."""
        with self._lock:
            before = self._known.get(about)
            if error is None:
                self._known.pop(about, None)
            elif before is None or before["why"] != error.why:
                self._known[about] = {"about": about, **error.sentence(), "since": _now()}
            if self._known.get(about) == before:
                return False
            self._write()
            return True

    def clear(self) -> None:
        """Say that nothing is in the way; for the end of the daemon too."""
        self._known.clear()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        part = self._path.with_suffix(".new")
        try:
            part.write_bytes(self._text(list(self._known.values())))
            part.chmod(0o600)
            part.replace(self._path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            with suppress(OSError):
                self._write_in_place()

    def _write_in_place(self) -> None:
        """Use the room that the file has: a full disk is a hindrance, and must be told."""
        with self._path.open("r+b") as file:
            room_bytes, told = os.fstat(file.fileno()).st_size, list(self._known.values())
            while len(text := self._text(told)) > room_bytes:
                told.pop(0)  # the latest are the news
            file.write(text.ljust(room_bytes))

    def _text(self, told: list[dict[str, object]]) -> bytes:
        document = {"pid": os.getpid(), "hindrances": told}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        return text.encode(errors="backslashreplace").ljust(_ROOM_BYTES)


def read(state_directory: Path, pid: int | None) -> list[dict[str, Any]]:
    """Return what holds the daemon *pid* up: about, what, why, next and since, each."""
    try:
        found = json.loads((state_directory / _NAME).read_bytes())
    except (OSError, ValueError):
        return []
    return list(found["hindrances"]) if found["pid"] == pid else []


def _now() -> str:
    return datetime.now(UTC).isoformat()
