"""Hatrac's paths: ``/hatrac/namespace/object:version;sub-resource/..``."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

from deriva_watch.sandbox.refusal import RefusedError

PREFIX: Final = "/hatrac"
LONGEST_FILE_NAME_BYTES: Final = 255
VERSION_SUFFIX_BYTES: Final = 27  # a colon and 26 characters

ADDRESS: Final = re.compile(
    r"(?P<name>(?:/[^/:;]+)*)/?"
    r"(?::(?P<version>[^/:;]+))?"
    r"(?:;(?P<part>versions|upload|acl|metadata)(?P<rest>(?:/[^/]+)*)/?)?"
)
LEGAL: Final = re.compile(r"(?:[-A-Za-z0-9._~/]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URL path.

    Attributes:
        name: The namespace or object, ``/a/b``; the root is empty. Percent-encoded in
            one way, so that equal names are equal.

        version: The version of the object.

        part: The sub-resource: ``versions``, ``upload``, ``acl``, ``metadata``.

        rest: What follows it, decoded.
    """

    name: str
    version: str | None
    part: str | None
    rest: tuple[str, ...]


def parse_address(path: str) -> Address:
    """Read a raw URL path below ``/hatrac``.

    Raises:
        RefusedError: 404, no such URL exists; 400, a character must be percent-encoded.
    """
    match = ADDRESS.fullmatch(path)
    if match is None:
        raise RefusedError(404, f"Resource {PREFIX}{path} not found.")
    if not LEGAL.fullmatch(match["name"]):
        raise RefusedError(
            400,
            "Request malformed. Hatrac URL path names may only include characters A-Z, a-z, "
            '0-9, "-", ".", "~", or UTF-8 bytes percent-encoded with 2-digit hex values.',
        )
    # As bytes, because a file name may not be UTF-8.
    segments = [quote(unquote_to_bytes(part), safe="") for part in match["name"].split("/")]
    rest = tuple(unquote(step) for step in (match["rest"] or "").split("/") if step)
    return Address("/".join(segments), match["version"], match["part"], rest)


def lineage(name: str) -> list[str]:
    """Return *name* and the namespaces above it, the root first."""
    segments = name.split("/")
    return ["/".join(segments[:end]) for end in range(1, len(segments) + 1)]


def check_storable(name: str) -> None:
    """Refuse names that are too long for a file system.

    Raises:
        RefusedError: 500, with the message of the operating system.
    """
    *parents, last = name.split("/")
    if len(last) + VERSION_SUFFIX_BYTES > LONGEST_FILE_NAME_BYTES or any(
        len(parent) > LONGEST_FILE_NAME_BYTES for parent in parents
    ):
        raise RefusedError(500, f"[Errno 36] File name too long: '{name}'")
