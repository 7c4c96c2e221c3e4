"""What a caller of the library hears while files go up, and what it has in the end."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class UploadState(Enum):
    """How far a file came; names and values are those of deriva-py's uploader."""

    success = 0
    failed = 1
    pending = 2
    running = 3
    paused = 4
    aborted = 5
    cancelled = 6
    timeout = 7


@dataclass(slots=True)
class FileUploadState:
    """What became of one file.

    Attributes:
        state: `UploadState.success`; a file that failed raises instead.
        status: The same for a person.
        result: The catalog's row of an asset; of a file of rows `{"table": …, "rows": <number>}`.
    """

    state: UploadState
    status: str
    result: Any = None


@dataclass(slots=True)
class UploadProgress:
    """How far an upload is.

    Attributes:
        file_path: The file that this is about, absolute; "" where it is about all of them.
        file_name: Its name.
        bytes_completed, bytes_total: Of that file.
        percent_complete: Of that file while chunks are sent, else of all files.
        phase: "uploading": a file begins or is in; "uploading_chunks": a chunk of a large file is
            sent; "retrying": something failed that may pass.
        message: The same for a person.
    """

    file_path: str = ""
    file_name: str = ""
    bytes_completed: int = 0
    bytes_total: int = 0
    percent_complete: float = 0.0
    phase: str = ""
    message: str = ""
