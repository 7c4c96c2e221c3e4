"""Stored objects, as the engine and the object store speak of them."""

from dataclasses import dataclass


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
    sha256: str
    content_type: str  # "": guessed from the name
    content_disposition: str | None
