"""Percent-encoding in ERMrest's URLs: which characters need not be encoded."""

import re
from typing import Final
from urllib.parse import unquote

from deriva_watch.sandbox.ermrest.refusals import malformed

_RAW: Final = re.compile(r"[-A-Za-z0-9._~*%]*")


def decode(text: str) -> str:
    """Return a name or a value of a path, decoded.

    Invalid UTF-8 becomes a character that no data contains.

    Raises:
        RefusedError: 400, a reserved character is not encoded (measured: all but ``*`` and ``~``).
    """
    if not _RAW.fullmatch(text):
        raise malformed(f"{text!r} has a reserved character that is not percent-encoded.")
    return unquote(text, errors="replace")
