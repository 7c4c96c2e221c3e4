"""What deriva's own sessions do to a long upload, and ours do not."""

import io
import re
import socket
import threading
import time
from contextlib import contextmanager

from deriva_watch.core.model import TableName
from deriva_watch.core.objects import ObjectHead
from deriva_watch.edges.server.catalog import Ermrest
from deriva_watch.edges.server.deriva import TIMEOUT_S, Server
from deriva_watch.edges.server.hatrac import Hatrac
from running import credential, sandbox

MIB = 1024 * 1024


@contextmanager
def sluggish(pause_s):
    """Take one body, a MiB at a time with a pause before each, and say that it is stored."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

        def serve():
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as heard:
                head = b"".join(iter(heard.readline, b"\r\n"))
                left = int(re.search(rb"Content-Length: (\d+)", head)[1])
                while left:
                    time.sleep(pause_s)
                    left -= len(heard.read(min(MIB, left)))
                location = b"Location: /hatrac/a/b:V1"
                connection.sendall(
                    b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n%s\r\n\r\n" % location
                )

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_a_body_may_take_longer_than_a_connection_may():
    """Theirs has 6 s for all of it: 25 MiB never leave by an uplink below 4.4 MB/s."""
    size_bytes, limit_s = 16 * MIB, 1.0
    head = ObjectHead("/hatrac/a/b", size_bytes, "00" * 16, "00" * 32, "text/plain", None)

    with (
        sluggish(0.1) as host,
        Server(host, {"bearer-token": "t"}, protocol="http", timeout_s=(limit_s, 30)) as server,
    ):
        began_s = time.monotonic()
        url = Hatrac(server).put(head, io.BytesIO(bytes(size_bytes)))

    assert url == "/hatrac/a/b:V1"
    assert time.monotonic() - began_s > limit_s
    assert min(TIMEOUT_S) >= 600


def test_no_answer_of_the_catalog_is_kept(tmp_path):
    """Theirs keeps every answer for the life of the process."""
    with (
        sandbox(tmp_path / "data") as ready,
        Server(ready["host"], credential(ready), protocol="http") as server,
    ):
        catalog = Ermrest(server, ready["catalog"])
        for number in range(20):
            catalog.rows_where(TableName("demo", "Subject"), {"Name": f"subject {number}"})

        bound = catalog._catalog
        assert bound._cache == {}
