"""The session: certificates, credentials, and connections that end at the wrong moment."""

import io
import itertools
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    SettingsError,
    TransientError,
)
from deriva_watch.core.model import TableName
from deriva_watch.core.objects import ObjectHead
from deriva_watch.edges.server import adapter, whole_answers
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac

TOKEN = {"bearer-token": "t0ken"}
TABLE = TableName("s", "t")
NOTHING = b""  # hang up without a word


def answer(status, body="", *headers):
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


SESSION = answer(200, json.dumps({"client": {"id": "dana"}}))
ROWS = answer(200, "[]")


class Listener:
    """A server that hears requests and says what it was told to, one answer a request.

    *connections* lists for each connection its answers, each as bytes or in parts; after the last
    it hangs up.
    """

    def __init__(self, connections, tls=None):
        self.requests = []
        self.connections = connections
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.tls = tls
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self.thread.join()
        self.socket.close()

    def serve(self):
        """Take the connections, one after the other; they may talk at once."""
        talks = []
        for answers in self.connections:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                break
            talks.append(threading.Thread(target=self.talk, args=(connection, answers)))
            talks[-1].start()
        for talk in talks:
            talk.join()

    def talk(self, connection, answers):
        """Answer the requests of one connection, then hang up."""
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as heard:
                for words in answers:
                    self.requests.append(hear(heard))
                    for part in [words] if isinstance(words, bytes) else words:
                        connection.sendall(part)
        except (OSError, EOFError):  # a client that hangs up
            connection.close()


def hear(heard):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = heard.readline()
        if not line:
            raise EOFError
        head += line
    length = re.search(rb"Content-Length: (\d+)", head)
    return head.decode(), heard.read(int(length[1])) if length else b""


@contextmanager
def talking(*connections, timeout_s=(5, 5), **options):
    with (
        Listener(connections) as listener,
        Server(listener.host, TOKEN, protocol="http", timeout_s=timeout_s, **options) as server,
    ):
        yield listener, server


def small(size_bytes=10):
    return ObjectHead("/hatrac/a/b", size_bytes, "00" * 16, "00" * 32, "text/plain", None)


def header(request, name):
    found = re.search(rf"^{name}: (.*)\r$", request[0], re.MULTILINE | re.IGNORECASE)
    return found and found[1]


# ---------------------------------------------------------------- where we speak, and as whom


@pytest.mark.parametrize("host", ["data.example.org", "127.0.0.1.example.org", "10.0.0.1:80"])
def test_plain_http_goes_to_this_machine_only(host):
    with pytest.raises(SettingsError):
        Server(host, TOKEN, protocol="http")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:1", "[::1]", "[::1]:1"])
def test_this_machine_has_many_names(host):
    Server(host, TOKEN, protocol="http").close()


@pytest.mark.parametrize(
    ("credential", "name", "value"),
    [
        (TOKEN, "Authorization", "Bearer t0ken"),
        ({"cookie": "webauthn=abc; x=1"}, "Cookie", "webauthn=abc; x=1"),
        ({"cookie": "webauthn=abc"} | TOKEN, "Authorization", "Bearer t0ken"),
    ],
)
def test_a_credential_goes_with_every_request(credential, name, value):
    with talking([SESSION, SESSION]) as (listener, server):
        server.set_credential(credential)
        server.session()
        server.session()

    assert [header(request, name) for request in listener.requests] == [value, value]


def test_a_new_credential_counts_from_the_next_request_on():
    with talking([ROWS, ROWS]) as (listener, server):
        catalog = Ermrest(server, "1")
        catalog.rows_where(TABLE, {})
        server.set_credential({"bearer-token": "another"})
        catalog.rows_where(TABLE, {})

    told = [header(request, "Authorization") for request in listener.requests]
    assert told == ["Bearer t0ken", "Bearer another"]


def test_no_cookie_of_the_server_is_kept():
    greeting = answer(200, json.dumps({"client": {"id": "dana"}}), "Set-Cookie: a=b; Path=/")
    with talking([greeting, SESSION]) as (listener, server):
        server.session()
        server.session()

    assert header(listener.requests[1], "Cookie") is None


def test_the_environment_is_not_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with talking([SESSION]) as (_, server):
        assert server.session().client_id == "dana"


def test_the_environment_is_asked_where_it_is_wanted(monkeypatch):
    with Listener([[SESSION]]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        with Server("localhost:9", TOKEN, protocol="http", trust_env=True) as server:
            assert server.session().client_id == "dana"


def test_no_session_means_no_login():
    with (
        talking([answer(404, "No existing login session found.")]) as (_, server),
        pytest.raises(CredentialError, match="has no session"),
    ):
        server.session()


def test_a_refusal_names_the_identity():
    named = answer(200, json.dumps({"client": {"id": "x", "display_name": "dana@example.org"}}))
    with talking([named, answer(403)]) as (_, server):
        server.session()
        with pytest.raises(RefusedError, match=r"does not allow dana@example\.org to do it"):
            Hatrac(server).head("/hatrac/a")


# ---------------------------------------------------------------- certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of localhost that nobody signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


@pytest.mark.parametrize("trust_env", [False, True])
def test_a_certificate_of_localhost_is_checked_like_any_other(tls, trust_env):
    """The bindings' own sessions let it pass."""
    with Listener([[]], tls) as listener:
        host = listener.host.replace("127.0.0.1", "localhost")
        with (
            Server(host, TOKEN, trust_env=trust_env) as server,
            pytest.raises(ServerAwayError, match="self-signed") as raised,
        ):
            server.session()

    assert "server.ca_bundle" in raised.value.next


def test_a_ca_bundle_is_trusted_whatever_the_environment_says(tls, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    with Listener([[SESSION]], tls) as listener:
        host = listener.host.replace("127.0.0.1", "localhost")
        bundle = certificate / "certificate.pem"
        with Server(host, TOKEN, ca_bundle=bundle, trust_env=True) as server:
            assert server.session().client_id == "dana"


# ---------------------------------------------------------------- connections


def test_nobody_there():
    with (
        socket.create_server(("127.0.0.1", 0)) as closed,
        Server(f"127.0.0.1:{closed.getsockname()[1]}", TOKEN, protocol="http") as server,
    ):
        closed.close()
        with pytest.raises(ServerAwayError, match="Connection refused"):
            server.session()


def test_no_such_name():
    with (
        Server("no-such-host.invalid", TOKEN) as server,
        pytest.raises(ServerAwayError, match=r"no-such-host\.invalid does not answer"),
    ):
        server.session()


def test_no_answer_in_time_is_not_waited_for_twice():
    with (
        talking([NOTHING, NOTHING], timeout_s=(0.2, 0.2)) as (listener, server),
        pytest.raises(ServerAwayError, match="timed out"),
    ):
        Hatrac(server).head("/hatrac/a")

    assert len(listener.requests) == 1


def test_a_kept_connection_that_closes_is_no_failure():
    found = answer(404)
    with talking([found, NOTHING], [found]) as (listener, server):
        store = Hatrac(server)
        store.head("/hatrac/a")
        store.head("/hatrac/b")

    heard = [head.split()[1] for head, _ in listener.requests]
    assert heard == ["/hatrac/a", "/hatrac/b", "/hatrac/b"]


@pytest.mark.parametrize("size_bytes", [10, 3_000_000])
def test_a_body_is_sent_again_whole_when_its_connection_closes(size_bytes):
    content = b"0123456789" * (size_bytes // 10)
    stored = answer(201, "/hatrac/a/b:V1", "Location: /hatrac/a/b:V1")
    with talking([NOTHING], [stored]) as (listener, server):
        body = io.BytesIO(b"skip" + content + b"rest")
        body.seek(4)
        url = Hatrac(server).put(small(size_bytes), body)

    assert url == "/hatrac/a/b:V1"
    assert [body for _, body in listener.requests] == [content] * 2


def test_a_request_that_is_lost_twice_is_lost():
    with talking([NOTHING], [NOTHING], [ROWS]) as (listener, server):
        with pytest.raises(ServerAwayError):
            Hatrac(server).head("/hatrac/a")
        assert len(listener.requests) == 2
        Ermrest(server, "1").rows_where(TABLE, {})


def test_a_post_is_never_sent_again():
    """Its first sending may have used up leases, or have made an upload job."""
    with talking([NOTHING], [ROWS]) as (listener, server), pytest.raises(ServerAwayError):
        Hatrac(server).open_job(small(), 5)

    assert len(listener.requests) == 1


def test_errors_are_never_waited_out():
    busy = answer(503, "Transaction aborted.", "Retry-After: 3600")
    with talking([busy]) as (listener, server):
        begun = time.monotonic()
        with pytest.raises(TransientError) as raised:
            Hatrac(server).head("/hatrac/a")

    assert time.monotonic() - begun < 60
    assert raised.value.retry_after_s == 3600
    assert len(listener.requests) == 1


def test_half_an_answer_is_none():
    cut = answer(200, "[]").replace(b"Content-Length: 2", b"Content-Length: 20")
    with talking([cut]) as (_, server), pytest.raises(ServerAwayError):
        Ermrest(server, "1").model()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (CHUNKED, b"1\r\n \r\n" * 400),
        (CHUNKED + b"2\r\n[]\r\n0\r\n", b"X-Trailer: x\r\n" * 200),
    ],
    ids=["interim answers", "chunks", "trailers"],
)
def test_an_answer_that_does_not_end_is_cut_off(head, part, monkeypatch):
    monkeypatch.setattr(whole_answers, "_MOST_BYTES", 1 << 20)
    endless = itertools.chain([head], itertools.repeat(part))
    with (
        talking([endless], timeout_s=(60, 60)) as (_, server),
        pytest.raises(TransientError, match="an answer is longer than 1 MiB"),
    ):
        Ermrest(server, "1").model()


def test_an_answer_in_a_million_chunks_is_cut_off(monkeypatch):
    monkeypatch.setattr(whole_answers, "_MOST_LINES", 1000)
    endless = itertools.chain([CHUNKED], itertools.repeat(b"1\r\n \r\n" * 100))
    with (
        talking([endless], timeout_s=(60, 60)) as (_, server),
        pytest.raises(TransientError, match="an answer has more than 1,000 headers and chunks"),
    ):
        Ermrest(server, "1").model()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_an_answer_that_drips_is_not_waited_for(head):
    def dripping():
        yield head
        while True:
            yield b" "
            time.sleep(0.05)

    with talking([dripping()], timeout_s=(1, 1)) as (_, server), pytest.raises(ServerAwayError):
        Ermrest(server, "1").model()


def test_another_page_than_the_servers_is_no_answer():
    page = answer(200, "<html>Welcome to the conference!</html>")
    away = answer(302, "", "Location: http://127.0.0.1:9/login")
    with talking([page, away]) as (_, server):
        catalog = Ermrest(server, "1")
        with pytest.raises(TransientError, match="is not JSON"):
            catalog.model()
        with pytest.raises(TransientError, match="another address"):
            catalog.model()


def test_a_body_that_somebody_else_accepted_is_not_stored():
    with (
        talking([answer(200, "Maintenance")]) as (_, server),
        pytest.raises(TransientError, match="the server is not an object store"),
    ):
        Hatrac(server).put(small(1), io.BytesIO(b"x"))


def test_a_name_that_somebody_makes_this_moment_is_tried_again():
    """Measured: of four PUTs of one new name at once some get this 409, and one a 500."""
    with (
        talking([answer(409, "Name /hatrac/a/b already in use.")]) as (_, server),
        pytest.raises(TransientError),
    ):
        Hatrac(server).put(small(1), io.BytesIO(b"x"))


def test_what_cannot_be_sent_is_refused():
    with talking() as (_, server), pytest.raises(RefusedError, match="cannot be sent"):
        Hatrac(server).put(
            ObjectHead("/hatrac/a/b", 1, "00", "00", "text/plain", "two\nlines"), io.BytesIO(b"x")
        )


def test_a_body_is_read_in_large_blocks_and_never_whole():
    asked = []

    class Body(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    content = bytes(5_000_000)
    stored = answer(201, "", "Location: /hatrac/a/b:V1")
    with talking([stored]) as (listener, server):
        Hatrac(server).put(small(len(content)), Body(content))

    assert listener.requests[0][1] == content
    assert max(asked) == 1024 * 1024


def test_the_kernel_is_asked_to_notice_a_dead_host():
    """While nothing is acknowledged, neither our data nor its questions."""
    with talking([SESSION]) as (_, server):
        server.session()
        pools = server._session.get_adapter("http://").poolmanager.pools
        [key] = pools.keys()
        [kept] = [each.sock for each in pools[key].pool.queue if each]

        def option(level, name):
            return kept.getsockopt(level, name)

        assert option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
        assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert option(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_answer_without_end_costs_no_connection():
    """A login portal answers everything with a page; once it is gone, all goes on."""
    portal = [[answer(200, "x" * 100_000)]] * 20
    with talking(*portal, [answer(404)], connections=1) as (_, server):
        store, part = Hatrac(server), ObjectHead("/hatrac/a", 1, "00" * 16, "", "", "a")
        for _ in portal:
            with pytest.raises(ServerBusyError, match="is not finished within"):
                store.put(part, io.BytesIO(b"x"))

        assert store.head("/hatrac/a") is None


def test_threads_share_as_many_connections_as_they_may():
    """One more than there are connections: one for bodies, and the spare ones."""
    most = 1 + adapter._SPARE
    requests_of_all = 30 * (most + 1)
    with talking(*[[answer(404)] * requests_of_all] * most, connections=1) as (listener, server):
        store = Hatrac(server)

        def look():
            for _ in range(30):
                assert store.head("/hatrac/a") is None

        threads = [threading.Thread(target=look) for _ in range(most + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(listener.requests) == requests_of_all
