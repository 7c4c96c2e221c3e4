"""What every event is; see `core.events`."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened. `level` is the level of its log line."""

    NAME: ClassVar[str]
    LEVEL: ClassVar[str] = "info"

    @property
    def name(self) -> str:
        """The stable name of the event."""
        return self.NAME

    @property
    def level(self) -> str:
        """debug, info, warning or error."""
        return self.LEVEL

    def values(self) -> dict[str, Any]:
        """Return the fields that say something."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if value is not None}
