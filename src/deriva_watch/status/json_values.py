r"""Values of the journal as JSON can carry them.

Names that are not UTF-8 stand with their bytes escaped (`\udcff`), times as ISO 8601 in UTC.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from deriva_watch.core.records import ExecutionRecord, FileRecord, HistoryRecord


def plain(value: Any) -> Any:
    """Return a value with everything in it as JSON can carry it."""
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
    """Return the fields of a record that *names* tells."""
    return {name: plain(getattr(record, name)) for name in names}
