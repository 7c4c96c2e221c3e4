"""The metadata that a client sends for an object: type, disposition, hashes."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from deriva_watch.sandbox.refusal import RefusedError

Metadata = dict[str, str]

HASH_BYTES: Final = {"content-md5": 16, "content-sha256": 32}
DISPOSITION: Final = re.compile(r"filename\*=UTF-8''(?:[-A-Za-z0-9._~]|%[0-9A-Fa-f]{2})+")
DEFAULT_TYPE: Final = "application/octet-stream"


def read_metadata(source: Mapping[str, str]) -> Metadata:
    """Return the metadata among the headers, or the members of a job, in *source*.

    Measured: hashes are base64, or hex of the right length; only one form of a
    disposition is accepted.

    Raises:
        RefusedError: 400.
    """
    found = {name: str(source[name]).strip() for name in HASH_BYTES if source.get(name)}
    metadata = {name: _hash(name, text) for name, text in found.items()}
    content_type = str(source.get("content-type") or "").lower().partition(";")[0].strip()
    if content_type:
        metadata["content-type"] = content_type
    disposition = str(source.get("content-disposition") or "").strip()
    if disposition:
        if not DISPOSITION.fullmatch(disposition):
            raise RefusedError(400, f'Cannot accept content-disposition "{disposition}".')
        metadata["content-disposition"] = disposition
    return metadata


def digest(metadata: Metadata) -> bytes | None:
    """Return the MD5 that the client has sent for the content, if any."""
    text = metadata.get("content-md5")
    return base64.b64decode(text) if text else None


def _hash(name: str, text: str) -> str:
    length = HASH_BYTES[name]
    try:
        binary = bytes.fromhex(text) if len(text) == 2 * length else _from_base64(text)
    except ValueError as error:
        raise RefusedError(400, f'Could not base64 decode "{text}". {error}') from None
    if len(binary) != length:
        raise RefusedError(400, f"{name} must be {length} bytes, not {len(binary)}.")
    return base64.b64encode(binary).decode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
