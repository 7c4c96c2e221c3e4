"""What is in the way of the daemon at present, for other processes to read.

The journal is about units. That the server is away concerns the daemon, that a folder is missing
or a unit cannot be looked at concerns only these: the daemon works. All of it is kept in a small
file beside the journal, which is void once the daemon has ended.
"""

import json
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.json_text import read_json

if TYPE_CHECKING:
    from deriva_watch.core.events import Emit

_NAME: Final = "problems.json"
_ROOM_BYTES: Final = 4096  # the least size of the file


class Scope(StrEnum):
    """What a problem concerns."""

    DAEMON = "daemon"  # it cannot work: the server, the journal, the settings
    FOLDER = "folder"  # a root, a unit or some names; all else is uploaded


class Problems:
    """The problems of the daemon of a state directory. Any thread may call.

    If the file cannot be written, work continues: the log has the same information.
    """

    def __init__(self, state_directory: Path, emit: "Emit") -> None:
        """Start with none; forget those of an earlier daemon."""
        self._path, self._emit = state_directory / _NAME, emit
        self._known: dict[str, dict[str, object]] = {}
        self._lock = threading.Lock()
        self._write()

    def report(self, about: str, error: TroubleError | None, scope: Scope = Scope.DAEMON) -> None:
        """Set or clear the problem of *about*; a new one is also an event."""
        from deriva_watch.core.events import ProblemFound  # who only reads pays for no event

        if self.put(about, error, scope) and error:
            self._emit(ProblemFound(**error.sentence()))

    def put(self, about: str, error: TroubleError | None, scope: Scope = Scope.DAEMON) -> bool:
        """Set the problem of *about*, or clear it with None; return whether its reason is new."""
        with self._lock:
            before = self._known.pop(about, None)
            if error is None:
                if before is not None:
                    self._write()
                return before is not None
            is_new = before is None or before["why"] != error.why
            since = _now() if before is None or is_new else before["since"]
            said = {"about": about, "scope": scope.value, **error.sentence(), "since": since}
            self._known[about] = said
            if said != before:
                self._write()
            return is_new

    def clear(self) -> None:
        """Clear all problems, also when the daemon ends."""
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
        """Overwrite the file within its size: a full disk is a problem that has to be shown."""
        with self._path.open("r+b") as file:
            room_bytes, told = os.fstat(file.fileno()).st_size, list(self._known.values())
            while len(text := self._text(told)) > room_bytes:
                told.pop(0)  # keep the latest
            file.write(text.ljust(room_bytes))

    def _text(self, told: list[dict[str, object]]) -> bytes:
        document = {"pid": os.getpid(), "problems": told}
        text = json.dumps(document, ensure_ascii=False, indent=1)
        return text.encode(errors="backslashreplace").ljust(_ROOM_BYTES)


def read(state_directory: Path, pid: int | None) -> list[dict[str, Any]]:
    """Return the problems of the daemon *pid*, each with its fields and since."""
    try:
        found = read_json((state_directory / _NAME).read_bytes())
    except (OSError, ValueError):
        return []
    return list(found["problems"]) if found["pid"] == pid else []


def _now() -> str:
    return datetime.now(UTC).isoformat()
