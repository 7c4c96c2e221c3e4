"""The connections under the session: timeouts, certificates, dead hosts, and what is sent again."""

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from deriva_watch.edges.server.answer_shapes import limited
from deriva_watch.edges.server.whole_answers import POOLS
from deriva_watch.edges.server.wire import Wire
from deriva_watch.liveness import beat, waiting

BLOCK_BYTES: Final = 1024 * 1024  # urllib3's 16 KiB halve the speed of parallel bodies
# Besides the connections for large bodies: one for small ones, two for rows and look-ups, one for a
# probe, and one for each question of a look that may be left without an answer.
_SPARE: Final = 4 + 8
_SILENCE_S: Final = 120  # the host is gone if it acknowledges nothing for this long
_SOCKET: Final = [
    *HTTPConnection.default_socket_options,  # TCP_NODELAY: 4,405 against 23 requests/s
    (socket.IPPROTO_TCP, socket.TCP_SYNCNT, 4),  # after this many tries, which take half a minute
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_S * 1000),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),  # keepalive while we wait for an answer
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
]


class Adapter(HTTPAdapter):
    """Connections with our timeouts and our check of certificates, which no caller can change."""

    def __init__(
        self, connections: int, timeout_s: tuple[float, float], ca_bundle: Path | None
    ) -> None:
        self._always: dict[str, Any] = {
            "timeout": timeout_s,
            "verify": str(ca_bundle) if ca_bundle else True,
        }
        self._timeout_s = max(timeout_s)
        most = connections + _SPARE
        super().__init__(max_retries=_ONCE_MORE, pool_maxsize=most, pool_block=True)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pool with larger blocks and with sockets that notice a dead host."""
        super().init_poolmanager(*args, **options, blocksize=BLOCK_BYTES, socket_options=_SOCKET)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Return the pools of a proxy of the environment."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        """Send one request."""
        with waiting(self._timeout_s):
            answer = super().send(request, *args, **(options | self._always))
        address = f"{request.method} {request.url}"
        answer.raw.stream = _watched(answer.raw.stream, address)  # type: ignore[method-assign]
        return answer

    def wire(
        self, base: str, proxies: Mapping[str, str], headers: Callable[[], Mapping[str, str]]
    ) -> Wire:
        """Return the connections to the server at *base* for frequent calls."""
        request, verify = requests.Request("GET", base).prepare(), self._always["verify"]
        pool = self.get_connection_with_tls_context(request, verify, dict(proxies))
        self.cert_verify(pool, base, verify, None)  # type: ignore[no-untyped-call]
        prefix = self.request_url(request, dict(proxies)).removesuffix("/")
        return Wire(cast("HTTPConnectionPool", pool), prefix, self._timeout_s, _ONCE_MORE, headers)

    def close(self) -> None:
        """Close the idle connections; urllib3 would close them only with the last pool."""
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118  # it is no mapping that can be iterated
            pools[key].close()
        super().close()


def _watched(
    stream: Callable[..., Iterator[bytes]], address: str
) -> Callable[..., Iterator[bytes]]:
    """Yield the blocks of *stream*, the body of an answer; each one is a sign of life."""

    def blocks(*args: Any, **options: Any) -> Iterator[bytes]:
        for block in limited(stream(*args, **options), address):
            beat()
            yield block

    return blocks


class _OnceMore(Retry):
    """Repeats a request once, immediately, if the server closed the connection while it was sent.

    Servers close idle connections after some requests or seconds, possibly just as we send. GET,
    HEAD, PUT and DELETE can be repeated. A POST and every other error are left to the caller: if
    the rows of the first POST arrived, a second one with the same leased RIDs is refused
    (measured), and a second upload job would stay forever.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        *args: Any,
        **options: Any,
    ) -> Self:
        """Return the remaining retries; raise *error* if there are none."""
        closed = isinstance(error, ProtocolError) and isinstance(error.args[-1], ConnectionError)
        if isinstance(error, ReadTimeoutError | ProtocolError) and not closed:
            raise error
        return super().increment(method, url, response, error, *args, **options)


_ONCE_MORE: Final = _OnceMore(
    total=1, connect=0, read=1, status=0, other=0, respect_retry_after_header=False
)
