"""Values that describe stored objects and upload jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """An object as HEAD describes it: `url` is "/hatrac/name:version", `etag` as received."""

    url: str
    etag: str
    size_bytes: int
    md5: str | None  # hexadecimal


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """The headers of a new object version; digests are hexadecimal."""

    name: str  # "/hatrac/…", percent-encoded
    size_bytes: int
    md5: str
    sha256: str  # "": not sent
    content_type: str  # "": guessed from the name of the file, or of the object
    content_disposition: str | None
    file_name: str = ""
    mime_types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # besides the usual


@dataclass(frozen=True, slots=True)
class UploadJob:
    """An open upload job as the server describes it; a job of others has only defaults."""

    ours: bool
    md5: str | None = None  # hexadecimal
    size_bytes: int = 0
    chunk_bytes: int = 0
