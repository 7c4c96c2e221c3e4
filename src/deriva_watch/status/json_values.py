r"""Values of the journal as JSON values.

Bytes of names that are not UTF-8 are escaped (`\udcff`); times are ISO 8601 in UTC.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from deriva_watch.core.records import ExecutionRecord, FileRecord, HistoryRecord


def plain(value: Any) -> Any:
    """Return a value, and all that is in it, as JSON values."""
    match value:
        case datetime():
            return value.isoformat()
        case str():
            return value.encode(errors="backslashreplace").decode()
        case Mapping():
            return {plain(name): plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
    return value


def some(
    record: ExecutionRecord | FileRecord | HistoryRecord, names: Iterable[str]
) -> dict[str, Any]:
    """Return the fields *names* of a record."""
    return {name: plain(getattr(record, name)) for name in names}
