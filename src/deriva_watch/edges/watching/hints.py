"""The two events of our emitter, and the handler that passes them on.

A hint says where something changed, not what: the caller looks at the disk.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from deriva_watch.liveness import beat

OnHint = Callable[[Path, str], None]


@dataclass(unsafe_hash=True, kw_only=True)
class HintEvent(FileSystemEvent):
    """Something changed in the folder `src_path`.

    Attributes:
        prefix: The root the folder belongs to.
        name: The execution, entry or folder to look at.
    """

    prefix: Path
    name: str
    event_type: str = field(default="hint", init=False)


@dataclass(unsafe_hash=True)
class OverflowEvent(FileSystemEvent):
    """The kernel dropped events: scan everything."""

    event_type: str = field(default="overflow", init=False)


class HintHandler(FileSystemEventHandler):
    """Calls *on_hint* for every hint; an exception there is kept, because it would end the thread.

    Attributes:
        overflowed: The kernel dropped events.
        failure: The last exception of *on_hint*, as text.
    """

    def __init__(self, on_hint: OnHint) -> None:
        self.overflowed = False
        self.failure: str | None = None
        self._on_hint = on_hint

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take an event; the thread shows that it lives."""
        beat()
        super().dispatch(event)

    def on_hint(self, event: HintEvent) -> None:
        """Pass a hint on."""
        try:
            self._on_hint(event.prefix, event.name)
        except Exception as error:  # noqa: BLE001 - it would end the thread that serves all roots
            self.failure = repr(error)

    def on_overflow(self, _event: OverflowEvent) -> None:
        """Remember the overflow; the watcher asks for it."""
        self.overflowed = True
