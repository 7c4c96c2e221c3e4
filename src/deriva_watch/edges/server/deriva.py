"""Deriva's bindings on a session of our own: the only place that speaks HTTP to a server.

We replace the bindings' own sessions because of what those do silently (all measured): they repeat
a failed request for minutes, and sleep for hours if the server asks for it; they limit the time
for sending a body by the connect timeout, 6 s; they keep a bearer token in a dictionary that
threads share; they send no cookie to a host with a port; and they do not check the certificate of
`localhost`.

A dead host and a slow link must not be confused. The time for sending one block of a body is
generous (`timeout_s`); a dead host is noticed by the kernel, which sees acknowledgements (measured:
after 36 s if nobody accepts the connection, after 121 s if nobody accepts the body).
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, Self

import requests
from urllib3.exceptions import HTTPError

from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    ServerBusyError,
    SettingsError,
    TroubleError,
)
from deriva_watch.edges.server.adapter import Adapter
from deriva_watch.edges.server.answer_shapes import (
    UnexpectedAnswerError,
    json_object,
    json_value,
    reading,
)
from deriva_watch.edges.server.answers import Answer, away, how_to_log_in, moment, trouble
from deriva_watch.edges.server.wire import StatusError, WireAnswer

TIMEOUT_S: Final = (600.0, 600.0)
_CLIENT: Final = "deriva-watch"  # how the server's log calls us
_READ_BYTES: Final = 64 * 1024  # no more of an answer than this is read in vain
_REASON_BYTES: Final = 8 * 1024  # of an answer with an error that are searched for the reason


@dataclass(frozen=True, slots=True)
class Session:
    """Our identity on the server; `remaining_s` is None if it does not say how long it is valid."""

    client_id: str
    display_name: str
    remaining_s: float | None
    client: Mapping[str, Any] = field(default_factory=dict)  # everything the server says about us


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a service describes itself, and its clock.

    Attributes:
        document: The description; empty if it is not a JSON object.
        date: Its time, truncated to a second; None if it sends none.
        sent_at, received_at: When the request was sent and answered, by our clock.
    """

    document: Mapping[str, Any]
    date: datetime | None
    sent_at: datetime
    received_at: datetime


class Server:
    """A Deriva server and our credential for it. All threads share one.

    The session never changes: it keeps no cookies, and the credential is added to each request.
    So threads need no lock; urllib3's connection pool has its own.

    `wire` sends frequent requests, inside of `asking`.

    Args:
        host: With its port if it has one.
        credential: `{"bearer-token": …}` or `{"cookie": …}`.
        protocol: "https"; "http" only to this machine itself.
        ca_bundle: The certificate authorities to trust instead of the usual ones.
        connections: How many bodies may be sent at the same time.
        timeout_s: The limit for sending a block of a body, and for waiting for an answer.
        trust_env: Whether to use the proxies of the environment.
    """

    def __init__(  # noqa: PLR0913 (each is a setting)
        self,
        host: str,
        credential: Mapping[str, str],
        *,
        protocol: str = "https",
        ca_bundle: Path | None = None,
        connections: int = 4,
        timeout_s: tuple[float, float] = TIMEOUT_S,
        trust_env: bool = False,
    ) -> None:
        if protocol != "https" and not _is_loopback(host):
            raise SettingsError(
                f"cannot speak {protocol} to {host}",
                "anybody on the network path could read the credential",
                'Set server.protocol to "https".',
            )
        self.host = host
        self._protocol = protocol
        self._session = requests.Session()
        self._session.trust_env = trust_env
        self._session.max_redirects = 0  # a redirected POST would become a GET
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.auth = self._sign
        adapter = Adapter(connections, timeout_s, ca_bundle)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)
        self.set_credential(credential)
        base = f"{protocol}://{host}/"
        proxies = self._session.merge_environment_settings(base, {}, None, None, None)["proxies"]
        self.wire = adapter.wire(base, proxies, self._wire_headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; a second call does nothing."""
        self._session.close()

    def set_credential(self, credential: Mapping[str, str]) -> None:
        """Use *credential* from the next request on, in every thread."""
        token = credential.get("bearer-token")
        self._header = (
            ("Authorization", f"Bearer {token}") if token else ("Cookie", credential["cookie"])
        )
        sent = token or credential["cookie"]
        self._secrets = [each for each in (sent, sent.partition("=")[2]) if each]
        self._name = "us"

    def credential_digest(self) -> str:
        """Return a digest that differs between credentials and reveals nothing about them."""
        return hashlib.sha256(f"{self.host}\n{self._header}".encode()).hexdigest()

    def bind(self, binding: type, *args: Any, **options: Any) -> Any:
        """Make one of deriva's bindings use our session, and return it."""
        ours = {
            "_get_new_session": lambda bound, _=None: setattr(bound, "_session", self._session),
            "_close_session": lambda _: None,  # the session is ours to close
        }
        bound = type(binding.__name__, (binding,), ours)
        made = bound(self._protocol, self.host, *args, **options)
        made.dcctx["cid"] = _CLIENT
        return made

    def session(self) -> Session:
        """Ask the server who we are.

        Raises:
            CredentialError: The server has no session for our credential.
        """
        what = f"cannot log in to {self.host}"
        with self.asking(what):
            answer = self._ask_session("GET", what)
            found = json_object(answer, "client")
            with reading(answer, "a session"):
                client, client_id = dict(found["client"]), str(found["client"]["id"])
        self._name = client.get("display_name") or client_id
        now = moment(answer.headers.get("Date")) or datetime.now(UTC)
        return Session(client_id, self._name, _left_s(found.get("expires"), now), client)

    @property
    def uses_cookie(self) -> bool:
        """Whether our credential is a cookie: its session can be extended."""
        return self._header[0] == "Cookie"

    def extend_session(self) -> None:
        """Have the server move the end of our cookie session; raises as `session`.

        Only PUT extends it, GET does not (measured). The answer to PUT may name another end than
        the next GET: it is not used.
        """
        what = f"cannot extend the session at {self.host}"
        with self.asking(what):
            self._ask_session("PUT", what)

    def _ask_session(self, method: str, what: str) -> requests.Response:
        answer = self._session.request(method, f"{self._protocol}://{self.host}/authn/session")
        if answer.status_code == requests.codes.not_found:
            why = f"{self.host} has no session for our credential"
            raise CredentialError(what, why, how_to_log_in(self.host))
        answer.raise_for_status()
        return answer

    def greet(self, path: str) -> Greeting:
        """GET the *path* where a service describes itself; needs no credential."""
        sent_at = datetime.now(UTC)
        with self.asking(f"cannot reach {self.host}"):
            answer = self._session.get(f"{self._protocol}://{self.host}{path}")
            received_at = datetime.now(UTC)
            answer.raise_for_status()
            with reading(answer, "JSON"):
                said = json_value(answer)
        document = said if isinstance(said, dict) else {}
        return Greeting(document, moment(answer.headers.get("Date")), sent_at, received_at)

    def get_part(self, path: str, first: int, size_bytes: int) -> bytes:
        """GET *size_bytes* of *path* from *first* on; fewer if it ends, or breaks off, early.

        The bindings cannot do it: they read whole answers into memory. Raises RefusedError if the
        server does not answer with the part.
        """
        headers = {"Range": f"bytes={first}-{first + size_bytes - 1}"}
        headers["Accept-Encoding"] = "identity"
        url, data = f"{self._protocol}://{self.host}{path}", bytearray()
        try:
            answer = self._session.get(url, headers=headers, stream=True)
        except requests.TooManyRedirects:
            raise _no_part(path, f"{self.host} redirects us to another address") from None
        with answer:
            status = answer.status_code
            if status == requests.codes.requested_range_not_satisfiable:
                return b""
            answer.raise_for_status()
            is_all = status == requests.codes.ok and first == 0  # its beginning is the part
            if status != requests.codes.partial_content and not is_all:
                raise _no_part(path, f"{self.host} answers {status} to a request for a part of it")
            with suppress(requests.exceptions.ChunkedEncodingError):
                for block in answer.iter_content(_READ_BYTES):
                    data += block
                    if len(data) >= size_bytes:  # whatever follows is not read
                        break
        return bytes(data[:size_bytes])

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn errors of the libraries into ours; *what* names what is being done ("cannot …").

        The libraries' errors are not chained: they quote addresses and whole answers.
        """
        from deriva.core import ConcurrentUpdate

        try:
            yield
        except ConcurrentUpdate as error:
            raise self._trouble(what, error.args[0]) from None
        except requests.HTTPError as error:
            raise self._trouble(what, error.response) from None
        except StatusError as error:
            raise self._trouble(what, error.answer) from None
        except requests.TooManyRedirects:
            raise ServerBusyError(what, f"{self.host} redirects us to another address") from None
        except UnexpectedAnswerError as error:
            raise ServerBusyError(what, str(error)) from None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            HTTPError,  # of urllib3
        ) as error:
            raise away(what, self.host, error) from None
        except requests.RequestException as error:
            remedy = "Retrying will not help: this is a bug of deriva-watch or a wrong setting."
            raise RefusedError(what, f"it cannot be sent: {error}", remedy) from None

    def _trouble(self, what: str, answer: requests.Response | WireAnswer) -> TroubleError:
        if isinstance(answer, requests.Response):
            answer = WireAnswer(answer.status_code, answer.headers, answer.content)
        if answer.status < requests.codes.bad_request:
            return ServerBusyError(what, f"{self.host} redirects us to another address")
        text = answer.content[:_REASON_BYTES].decode("utf-8", "replace")
        for secret in self._secrets:  # some proxies show the request in their error pages
            text = text.replace(secret, "***")
        said = Answer(answer.status, answer.headers, text)
        return trouble(what, self.host, self._name, said)

    @cached_property
    def _always(self) -> dict[str, str]:
        from deriva.core.deriva_binding import DerivaClientContext

        return {
            "Accept-Encoding": "identity",
            "User-Agent": _CLIENT,
            "deriva-client-context": DerivaClientContext({"cid": _CLIENT}).encoded(),
        }

    def _wire_headers(self) -> dict[str, str]:
        name, value = self._header
        return {**self._always, name: value}

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        name, value = self._header
        request.headers[name] = value
        return request


def _no_part(path: str, why: str) -> RefusedError:
    then = "Set reclaim.read_back to none, or ask the server's administrator."
    return RefusedError(f"cannot read a part of {path}", why, then)


def _left_s(expires: Any, now: datetime) -> float | None:
    """Return how long a session lasts, from the end that the server names.

    `seconds_remaining` of the same answer drops whole days (measured).
    """
    try:
        ends = datetime.fromisoformat(str(expires))
    except ValueError:
        return None
    return (ends if ends.tzinfo else ends.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _is_loopback(host: str) -> bool:
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
