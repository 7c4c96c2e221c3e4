"""The names that templates of a bulk spec may use of a file, beside the groups of its path.

They are those of deriva-py's uploader. What comes from outside of the file (answers of queries, the
time, who we are) is found once and kept: another attempt must make the same object and row.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

ENCODED: Final = "_urlencoded"  # the end of the form of a name that can stand in a URL
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
"""No answer of a query takes one of these away."""

CONTENT_PATH: Final = "processor_modified_file_path"  # the file that a processor made to be sent
_OWN: Final = "deriva_watch."  # begins what we ourselves keep among the names of a file
CONTENT_BYTES: Final = f"{_OWN}content_bytes"  # the length of what is sent, where it is another's
BEFORE: Final = f"{_OWN}before"  # the version that a forced one comes after; "": none
SENDING: Final = f"{_OWN}sending"  # a row without a natural key may have been sent


def of_path(folder: str, file_name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of a file that its path gives; *said* are those of its groups."""
    if "file_ext" in said:
        extension = said["file_ext"]
    else:
        extension = "".join(PurePosixPath(file_name).suffixes)
    return {
        "file_name": file_name,
        "file_ext": extension,
        "base_path": folder,
        "base_name": file_name.split(extension, 1)[0] if extension else file_name,
    }


def of_moment(now: datetime) -> dict[str, Any]:
    """Return the names of the time of an upload, local as the uploader of deriva-py has it."""
    values = (now.year, now.month, now.day, now.timestamp())
    return dict(zip(_TIME, values, strict=True))


def of_identity(client: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of the one whom the server takes us for."""
    said = {f"_identity_{part}": client.get(part) for part in _IDENTITY}
    return said | {"_identity_id": client.get("id", "anonymous")}


def of_answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the first row of a query adds."""
    return {name: value for name, value in row.items() if name not in RESERVED}


def encoded(known: Mapping[str, Any], safe: Mapping[str, str]) -> dict[str, Any]:
    """Return *known* with every name's form for URLs; *safe* are characters left as they are."""
    plain = {name: value for name, value in known.items() if not name.endswith(ENCODED)}
    return dict(known) | {
        f"{name}{ENCODED}": quote(str(value), safe=safe.get(name, ""))
        for name, value in plain.items()
    }
