"""The names that templates of a bulk spec may use for a file, beside the groups of its path.

They are those of deriva-py's uploader. Values that do not come from the file (answers of queries,
the time, our identity) are found once and kept: a later attempt must make the same object and row.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

ENCODED: Final = "_urlencoded"  # suffix of the percent-encoded variant of a name
_TIME: Final = ("_upload_year_", "_upload_month_", "_upload_day_", "_upload_time_")
_IDENTITY: Final = ("id", "display_name", "full_name", "email")
NUMBERS: Final = frozenset({"file_size", *_TIME})
RESERVED: Final = frozenset(
    {
        *("URI", "file_name", "file_ext", "file_size", "base_path", "base_name"),
        *("content-disposition", "md5", "sha256", "md5_base64", "sha256_base64"),
        *("schema", "table", "target_table", *_TIME),
        *(f"_identity_{part}" for part in _IDENTITY),
    }
)
"""No answer of a query replaces one of these."""

CONTENT_PATH: Final = "processor_modified_file_path"  # the file that a processor made to be sent
_OWN: Final = "deriva_watch."  # prefix of our own entries among the names of a file
CONTENT_BYTES: Final = f"{_OWN}content_bytes"  # bytes to send, if a processor made another file
BEFORE: Final = f"{_OWN}before"  # the version before a forced one; "": none
SENDING: Final = f"{_OWN}sending"  # a row without a natural key may have been sent


def of_path(folder: str, file_name: str, groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that come from a file's path; *groups* are those of its pattern."""
    if "file_ext" in groups:
        extension = groups["file_ext"]
    else:
        extension = "".join(PurePosixPath(file_name).suffixes)
    return {
        "file_name": file_name,
        "file_ext": extension,
        "base_path": folder,
        "base_name": file_name.split(extension, 1)[0] if extension else file_name,
    }


def of_moment(now: datetime) -> dict[str, Any]:
    """Return the names of the time of an upload; local time, as in deriva-py's uploader."""
    values = (now.year, now.month, now.day, now.timestamp())
    return dict(zip(_TIME, values, strict=True))


def of_identity(client: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of our identity, as the server reports it in *client*."""
    found = {f"_identity_{part}": client.get(part) for part in _IDENTITY}
    return found | {"_identity_id": client.get("id", "anonymous")}


def of_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that the first row of a query's answer adds."""
    return {name: value for name, value in row.items() if name not in RESERVED}


def encoded(
    known: Mapping[str, Any], safe: Mapping[str, str], names: Collection[str] | None = None
) -> dict[str, Any]:
    """Return *known* with a percent-encoded variant of each, or of those in *names*.

    *safe* characters are kept.
    """
    plain = {
        name: value
        for name, value in known.items()
        if not name.endswith(ENCODED) and (names is None or name in names)
    }
    return dict(known) | {
        f"{name}{ENCODED}": quote(str(value), safe=safe.get(name, ""))
        for name, value in plain.items()
    }
