"""The progress that a caller of the library gets, and the result."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class UploadState(Enum):
    """The state of a file; names and values are those of deriva-py's uploader."""

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
    """The result for one file.

    Attributes:
        state: `UploadState.success`; a file that failed raises instead.
        status: The same for people.
        result: The catalog's row of an asset; of a file of rows `{"table": …, "rows": <number>}`.
    """

    state: UploadState
    status: str
    result: Any = None


@dataclass(slots=True)
class UploadProgress:
    """The progress of an upload.

    Attributes:
        file_path: The file, absolute; "" if this is about all files.
        file_name: Its name.
        bytes_completed, bytes_total: Of that file.
        percent_complete: Of that file while chunks are sent, else of all files.
        phase: "uploading": a file starts or is in the catalog; "uploading_chunks": a chunk of a
            large file was sent; "retrying": a temporary failure.
        message: The same for people.
    """

    file_path: str = ""
    file_name: str = ""
    bytes_completed: int = 0
    bytes_total: int = 0
    percent_complete: float = 0.0
    phase: str = ""
    message: str = ""
