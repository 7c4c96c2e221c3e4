"""Asks the status page of a daemon whether it is healthy."""

import http.client
import socket
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from deriva_watch.core.json_text import JsonError, read_json, read_whole

_ANSWER_S: Final = 5.0
_ANSWER_BYTES: Final = 1024 * 1024
_UNIX: Final = "unix:"


def ask(at: str) -> Mapping[str, Any] | None:
    """Return the /healthz document *at* "ADDRESS:PORT" or "unix:/PATH"; None if nobody listens.

    Raises ValueError if something other than a daemon answers.
    """
    connection = http.client.HTTPConnection("localhost", timeout=_ANSWER_S)
    try:
        connection.sock = _connected(at)
    except OSError:
        return None
    with closing(connection):
        try:
            connection.request("GET", "/healthz")
            said = read_json(read_whole(connection.getresponse(), _ANSWER_BYTES))
        except JsonError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ValueError(type(error).__name__) from error
    if not isinstance(said, dict) or "healthy" not in said:
        raise ValueError("the answer is not from a deriva-watch daemon")
    return said


def _connected(at: str) -> socket.socket:
    if not at.startswith(_UNIX):
        host, _, port = at.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(_ANSWER_S)
    try:
        made.connect(at.removeprefix(_UNIX))
    except OSError:
        made.close()
        raise
    return made
