"""Hatrac, against the sandbox: versions, preconditions, upload jobs, files that move."""

import hashlib
import io
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.errors import FileChangedError, RefusedError, TransientError
from deriva_watch.core.objects import ObjectHead, UploadJob
from deriva_watch.edges.server.bandwidth import Bandwidth
from deriva_watch.edges.server.deriva import Server
from deriva_watch.edges.server.hatrac import Hatrac, Part
from running import credential, requests_seen, sandbox


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    with sandbox(tmp_path_factory.mktemp("hatrac") / "data") as ready:
        yield ready


@pytest.fixture
def server(ready):
    with Server(ready["host"], credential(ready), protocol="http") as server:
        yield server


@pytest.fixture
def store(server):
    return Hatrac(server)


@pytest.fixture
def space(store):
    """A namespace that no other test has."""
    name = f"/hatrac/{uuid.uuid4().hex}"
    store.make_namespace(name)
    return name


def head(name, content, content_type="", disposition=None):
    md5, sha256 = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()
    return ObjectHead(name, len(content), md5, sha256, content_type, disposition)


def put(store, name, content, **options):
    return store.put(head(name, content), io.BytesIO(content), **options)


def fetch(ready, path):
    token = credential(ready)["bearer-token"]
    wanted = urllib.request.Request(
        ready["url"] + path, headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(wanted) as answer:
        return answer.read(), answer.headers


# ---------------------------------------------------------------- the body of a request


@given(st.binary(min_size=1), st.data())
def test_a_part_is_exactly_its_bytes(content, data):
    start = data.draw(st.integers(0, len(content) - 1))
    size = data.draw(st.integers(1, len(content) - start))
    step = data.draw(st.integers(1, len(content)))
    body = io.BytesIO(content)
    body.seek(start)
    part = Part(body, size, Bandwidth())

    first = part.read(step)
    part.seek(0)
    again = b"".join(iter(lambda: part.read(step), b""))

    assert again == content[start : start + size]
    assert again.startswith(first)
    assert (len(part), part.tell()) == (size, size)


def test_a_part_of_a_file_that_shrank_has_no_end():
    part = Part(io.BytesIO(b"abc"), 5, Bandwidth())

    assert part.read(10) == b"abc"
    with pytest.raises(FileChangedError, match="2 bytes early"):
        part.read(10)


def test_a_part_that_cannot_be_read_is_not_the_networks_fault(tmp_path):
    with (tmp_path / "file").open("wb") as body, pytest.raises(FileChangedError):
        Part(body, 5, Bandwidth()).read(5)


# ---------------------------------------------------------------- objects


def test_what_was_put_is_there(ready, store, space):
    content = b"some bytes"

    url = put(store, f"{space}/a.txt", content)

    found = store.head(f"{space}/a.txt")
    assert url.startswith(f"{space}/a.txt:")
    assert (found.url, found.size_bytes) == (url, len(content))
    assert found.md5 == hashlib.md5(content).hexdigest()
    assert store.head(url) == found
    assert fetch(ready, url)[0] == content


def test_its_headers_are_stored(ready, store, space):
    content = b"x"
    described = head(f"{space}/a", content, "image/x-odd", "filename*=UTF-8''a%20b")

    stored = fetch(ready, store.put(described, io.BytesIO(content)))[1]

    assert stored["Content-Type"] == "image/x-odd"
    assert stored["Content-Disposition"] == "filename*=UTF-8''a%20b"
    assert stored["Content-SHA256"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.png", "image/png"), ("a%2Epng", "image/png"), ("a", "application/octet-stream")],
)
def test_the_type_is_guessed_from_the_name(ready, store, space, name, content_type):
    url = put(store, f"{space}/{name}", b"x")

    assert fetch(ready, url)[1]["Content-Type"] == content_type


def test_an_empty_file_is_an_object(ready, store, space):
    url = put(store, f"{space}/empty", b"")

    assert fetch(ready, url)[0] == b""
    assert store.head(url).size_bytes == 0


@pytest.mark.parametrize("file_name", ["a b.txt", "ü;v=1:2", "100%.bin", "a/b", "x?y#z", "(+)&@"])
def test_any_file_name_can_be_a_name(ready, store, space, file_name):
    name = f"{space}/{quote(file_name, safe='')}"

    url = put(store, name, file_name.encode())

    assert store.head(name).url == url
    assert fetch(ready, url)[0] == file_name.encode()


@pytest.mark.parametrize("content", [b"content", bytes(3_000_000)])
def test_only_the_bytes_that_were_hashed_are_sent(ready, store, space, content):
    """The file grew since; its reader stands where its part begins."""
    body = io.BytesIO(b"before|" + content + b"|and more")
    body.seek(7)

    url = store.put(head(f"{space}/a", content), body)

    assert fetch(ready, url)[0] == content


@pytest.mark.parametrize("content", [b"content", bytes(3_000_000)])
def test_a_file_that_shrank_is_not_stored(store, space, content):
    with pytest.raises(FileChangedError):
        store.put(head(f"{space}/a", content), io.BytesIO(content[:-3]))

    assert store.head(f"{space}/a") is None


def test_other_bytes_than_were_hashed_are_refused(store, space):
    with pytest.raises(RefusedError, match="does not match") as raised:
        store.put(head(f"{space}/a", b"content"), io.BytesIO(b"CONTENT"))

    assert raised.value.status == 400
    assert store.head(f"{space}/a") is None


def test_a_name_with_content_is_not_taken_by_accident(store, space):
    first = put(store, f"{space}/a", b"first")

    assert put(store, f"{space}/a", b"second") is None
    assert store.head(f"{space}/a").url == first


def test_a_version_replaces_the_one_it_was_meant_for(store, space):
    put(store, f"{space}/a", b"first")
    first = store.head(f"{space}/a")
    second = put(store, f"{space}/a", b"second", replaces=first.etag)

    assert store.head(f"{space}/a").url == second
    assert put(store, f"{space}/a", b"third", replaces=first.etag) is None


def test_a_name_whose_put_failed_has_no_content_and_can_be_used(store, space):
    with pytest.raises(RefusedError):
        store.put(head(f"{space}/a", b"content"), io.BytesIO(b"CONTENT"))

    assert store.head(f"{space}/a") is None
    assert put(store, f"{space}/a", b"content")


def test_a_namespace_is_no_object(store, space):
    with pytest.raises(TransientError, match="the name is a namespace"):
        store.head(space)


# ---------------------------------------------------------------- namespaces


def test_a_namespace_is_made_with_its_parents_once(ready, server, space):
    store, before = Hatrac(server), len(requests_seen(ready))
    store.make_namespace(f"{space}/b/c")
    store.make_namespace(f"{space}/b/c")
    Hatrac(server).make_namespace(f"{space}/b/c")
    put(store, f"{space}/b/c/last", b"x")  # whatever came before it is in the log

    asked = [(r["method"], r["status"]) for r in requests_seen(ready)[before:]]
    assert asked == [("GET", 404), ("PUT", 201), ("GET", 200), ("PUT", 201)]


def test_looking_for_a_namespace_costs_the_same_however_full_it_is(ready, server, space):
    for number in range(30):
        put(Hatrac(server), f"{space}/{number}", b"x")
    before = len(requests_seen(ready))

    Hatrac(server).make_namespace(space)
    Hatrac(server).ping()
    put(Hatrac(server), f"{space}/last", b"x")

    assert [request["entries"] for request in requests_seen(ready)[before:]] == [0, 0, 0]


def test_one_caller_at_a_time_asks_for_a_namespace(ready, server, space):
    store, before = Hatrac(server), len(requests_seen(ready))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(store.make_namespace, [f"{space}/shared"] * 8))
    put(store, f"{space}/shared/last", b"x")

    assert [r["method"] for r in requests_seen(ready)[before:]] == ["GET", "PUT", "PUT"]


def test_a_namespace_that_was_forgotten_is_asked_for_again(ready, store, space):
    before = len(requests_seen(ready))
    store.forget_namespace(space)
    store.make_namespace(space)
    put(store, f"{space}/last", b"x")

    assert [r["method"] for r in requests_seen(ready)[before:]] == ["GET", "PUT"]


def test_a_file_of_the_type_of_a_namespace_becomes_an_object(store, space):
    given = replace(head(f"{space}/a.bin", b"x"), content_type="application/x-hatrac-namespace")

    assert store.put(given, io.BytesIO(b"x"))

    assert store.head(f"{space}/a.bin").size_bytes == 1


def test_an_object_is_not_overwritten_by_a_namespace_of_its_name(store, space):
    """On the real server the type alone would put an empty version over it."""
    put(store, f"{space}/a.bin", b"x")

    store.make_namespace(f"{space}/a.bin")

    assert store.head(f"{space}/a.bin").size_bytes == 1


def test_a_namespace_made_by_many_at_once_is_there_for_all(ready, space):
    together, failed = threading.Barrier(8), []

    def make():
        with Server(ready["host"], credential(ready), protocol="http") as server:
            together.wait()
            try:
                Hatrac(server).make_namespace(f"{space}/p/q")
            except TransientError as error:
                failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def test_where_an_object_is_can_be_no_namespace(store, space):
    put(store, f"{space}/a", b"x")

    with pytest.raises(RefusedError) as raised:
        store.make_namespace(f"{space}/a/b")

    assert raised.value.status == 409


def test_a_namespace_of_others_is_not_made_again(ready, space):
    with Server(ready["host"], credential(ready, "writer"), protocol="http") as server:
        Hatrac(server).make_namespace(space)


# ---------------------------------------------------------------- jobs

CONTENT = bytes(range(256)) * 14  # 3,584 bytes
CHUNK = 1000


def send(store, job, numbers=range(4), content=CONTENT):
    body = io.BytesIO(content)
    for number in numbers:
        body.seek(number * CHUNK)
        store.put_chunk(job, number, body, min(CHUNK, len(content) - number * CHUNK))


@pytest.mark.parametrize("numbers", [[0, 1, 2, 3], [3, 1, 0, 1, 2]])
def test_chunks_become_an_object(ready, store, space, numbers):
    job = store.open_job(head(f"{space}/big.bin", CONTENT), CHUNK)
    assert store.job(job).ours
    assert store.head(f"{space}/big.bin") is None
    send(store, job, numbers)

    url = store.finish_job(job, 0)

    assert fetch(ready, url)[0] == CONTENT
    assert store.head(url).md5 == hashlib.md5(CONTENT).hexdigest()


def test_an_empty_file_may_be_a_job(ready, store, space):
    job = store.open_job(head(f"{space}/a", b""), CHUNK)

    assert fetch(ready, store.finish_job(job, 0))[0] == b""


def test_a_job_that_is_finished_is_gone(store, space):
    job = store.open_job(head(f"{space}/a", CONTENT), CHUNK)
    send(store, job)
    url = store.finish_job(job, 0)

    assert store.finish_job(job, 0) is None
    assert store.job(job) is None
    assert store.head(f"{space}/a").url == url


def test_a_hole_is_refused_and_can_be_filled(store, space):
    job = store.open_job(head(f"{space}/a", CONTENT), CHUNK)
    send(store, job, [0, 1, 3])

    with pytest.raises(RefusedError) as raised:
        store.finish_job(job, 0)
    send(store, job, [2])

    assert raised.value.status == 409
    assert store.finish_job(job, 0)


def test_a_chunk_of_a_job_that_is_gone_is_refused(store, space):
    job = store.open_job(head(f"{space}/a", CONTENT), CHUNK)
    store.cancel_job(job)

    with pytest.raises(RefusedError) as raised:
        send(store, job)

    assert raised.value.status == 404


def test_a_job_can_be_cancelled_twice(store, space):
    job = store.open_job(head(f"{space}/a", CONTENT), CHUNK)
    store.cancel_job(job)
    store.cancel_job(job)

    assert store.job(job) is None
    assert put(store, f"{space}/a", b"whole")


def test_a_job_of_another_identity_is_not_open_to_us(ready, store, space):
    job = store.open_job(head(f"{space}/a", CONTENT), CHUNK)

    with Server(ready["host"], credential(ready, "writer"), protocol="http") as server:
        other = Hatrac(server)
        assert other.job(job) == UploadJob(ours=False)
        other.cancel_job(job)

    assert store.job(job).ours


# ---------------------------------------------------------------- a hundred requests a connection


def test_connections_that_the_server_closes_go_unnoticed(store, space):
    for number in range(250):
        assert put(store, f"{space}/{number}", b"x")


def test_all_threads_together_send_no_faster_than_they_may(server, space):
    store = Hatrac(server, Bandwidth(bytes_per_s := 2_000_000))
    contents = [bytes([number]) * 700_000 for number in range(3)]  # each is one piece of it
    start_s = time.monotonic()

    with ThreadPoolExecutor() as pool:
        urls = list(pool.map(lambda c: put(store, f"{space}/{c[0]}", c), contents))

    assert all(urls)
    last_bytes = len(contents[-1])  # nothing waits for the last
    assert time.monotonic() - start_s >= (3 * last_bytes - last_bytes) / bytes_per_s


def test_a_narrow_line_sends_in_pieces_so_that_a_stop_is_noticed():
    part = Part(io.BytesIO(b"x" * 1000), 1000, Bandwidth(100))

    assert len(part.read(1000)) == 50


# ------------------------------------------------------------------ reading back


def test_a_part_of_a_version_is_read_and_what_is_not_there_is_missing(store, space):
    content = bytes(range(256)) * 10
    url = put(store, f"{space}/parts", content)
    empty = put(store, f"{space}/empty", b"")

    assert store.read(url, 5, 300) == content[5:305]
    assert store.read(url, 2550, 100) == content[2550:]
    assert store.read(url, 5000, 10) == b""
    assert store.read(empty, 0, 10) == b""
    with pytest.raises(RefusedError):
        store.read(f"{space}/none:X", 0, 10)


class AnswersAll(BaseHTTPRequestHandler):
    """A server that knows no ranges, and one that leads elsewhere."""

    sent: ClassVar[list[int]] = []

    def do_GET(self):
        """Answer more than anybody asks for, or with a redirect."""
        if self.path.endswith("elsewhere"):
            self.send_response(303)
            self.send_header("Location", "http://127.0.0.1:9/secret")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(10**9))
        self.end_headers()
        with suppress(OSError):
            for number in range(1000):
                self.wfile.write(bytes(10**6))
                self.sent.append(number)

    def log_message(self, *_):
        """Keep quiet."""


def test_a_whole_answer_is_cut_off_and_no_redirect_is_followed():
    with ThreadingHTTPServer(("127.0.0.1", 0), AnswersAll) as rude:
        threading.Thread(target=rude.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{rude.server_address[1]}"
        with Server(host, {"bearer-token": "x"}, protocol="http") as server:
            store = Hatrac(server)
            assert store.read("/hatrac/x:1", 0, 1000) == bytes(1000)
            for url, first in (("/hatrac/x:1", 7), ("/hatrac/elsewhere", 0)):
                with pytest.raises(RefusedError, match="cannot read a part"):
                    store.read(url, first, 1000)
        rude.shutdown()
    assert len(AnswersAll.sent) < 100
