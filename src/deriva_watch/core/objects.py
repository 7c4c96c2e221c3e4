"""Stored objects, as the engine and the object store speak of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """What HEAD tells of an object: `url` is "/hatrac/name:version", `etag` as it was sent."""

    url: str
    etag: str
    size_bytes: int
    md5: str | None  # hexadecimal


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """The headers a new object version is stored with; digests are hexadecimal."""

    name: str  # "/hatrac/…", percent-encoded as it goes on the wire
    size_bytes: int
    md5: str
    sha256: str  # "": not said
    content_type: str  # "": guessed from the name of the file, or of the object
    content_disposition: str | None
    file_name: str = ""
    mime_types: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # beside the usual


@dataclass(frozen=True, slots=True)
class UploadJob:
    """What the server tells of an open upload job; nothing of one that is not ours."""

    ours: bool
    md5: str | None = None  # hexadecimal
    size_bytes: int = 0
    chunk_bytes: int = 0
