"""Connections on which every answer ends, whatever the server sends, and however slowly.

The timeouts of urllib3 are for one read from the socket, and its limits for one line. So a server
can send headers, "100 Continue", chunks or trailers for ever, or a byte a second: the thread that
waits would do nothing else any more.
"""

import io
import socket
import time
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from deriva_watch.edges.server.answer_shapes import LARGEST_ANSWER_BYTES, UnexpectedAnswerError

_MOST_BYTES: Final = 2 * LARGEST_ANSWER_BYTES  # with headers, and what frames the chunks
_MOST_LINES: Final = 1_000_000  # headers, chunks and trailers: a chunk may have a single byte
_TIMES: Final = 2  # the timeout of one read: the server may think so long, and then begin to answer


class _Measured(io.RawIOBase):
    """What arrives on a socket, until it is too much or takes too long for one answer."""

    def __init__(self, raw: io.RawIOBase, timeout_s: float | None) -> None:
        self._raw, self._left = raw, _MOST_BYTES
        self._ends_s = time.monotonic() + _TIMES * timeout_s if timeout_s else None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read once; TimeoutError or UnexpectedAnswerError where the answer should have ended."""
        if self._ends_s is not None and time.monotonic() > self._ends_s:
            raise TimeoutError("the answer does not end in time")
        if self._left <= 0:
            raise UnexpectedAnswerError(f"an answer is longer than {_MOST_BYTES >> 20} MiB")
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def close(self) -> None:
        """Close the socket's file."""
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """The same with a limit for the lines, which frame an answer: its body is not read by line."""

    _count = 0

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line; UnexpectedAnswerError if there were too many."""
        self._count += 1
        if self._count > _MOST_LINES:
            why = f"an answer has more than {_MOST_LINES:,} headers and chunks"
            raise UnexpectedAnswerError(why)
        return super().readline(size)


class _Answer(HTTPResponse):
    """An answer that ends."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _Lines(_Measured(self.fp.detach(), sock.gettimeout()))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS: Final[Mapping[str, Any]] = {"http": _Pool, "https": _SecurePool}
"""The classes of connection pools, by scheme."""
