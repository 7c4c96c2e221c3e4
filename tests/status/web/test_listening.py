"""Where the status page listens."""

import socket
import stat

import pytest

from deriva_watch.status.web import serving as serving_module
from running import wait_until
from status.visiting import ask, served


def test_a_port_that_is_taken_is_told_and_taken_once_it_is_free(journal, monkeypatch):
    monkeypatch.setattr(serving_module, "AGAIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with served(journal, f"127.0.0.1:{port}") as here:
            wait_until(lambda: here.problems._known)
            (known,) = here.problems._known.values()
            other.close()
            wait_until(lambda: "status.listening" in here.names())
            here.port = port

            assert ask(here, "/healthz").status == 200
            assert here.problems._known == {}
    assert known["what"] == f"cannot serve the status page at 127.0.0.1:{port}"
    assert known["why"] == "Address already in use"


def at_socket(path, request=b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(request)
        return client.recv(4096)


def test_a_unix_socket_is_for_owner_and_group_and_goes_with_the_daemon(journal, tmp_path):
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as dead:  # of a daemon that was killed
        dead.bind(str(path))

    with served(journal, f"unix:{path}") as here:
        wait_until(lambda: "status.listening" in here.names())
        mode = stat.S_IMODE(path.stat().st_mode)
        answer = at_socket(path)

    assert mode == 0o660
    assert b" 200 " in answer.partition(b"\r\n")[0]
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
def test_what_lies_at_the_place_of_a_unix_socket_and_is_not_ours_stays(journal, tmp_path, kind):
    path, target = tmp_path / "status.sock", tmp_path / "precious"
    target.write_text("precious")
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "file":
            path.write_text("precious")
        elif kind == "link":
            path.symlink_to(target)
        else:
            other.bind(str(path))
            other.listen()
        before = path.lstat()
        with served(journal, f"unix:{path}") as here:
            wait_until(lambda: here.problems._known)

        assert path.lstat().st_ino == before.st_ino
    assert target.read_text() == "precious"


def test_who_connects_and_asks_nothing_holds_no_place_for_long(journal, monkeypatch):
    monkeypatch.setattr(serving_module, "_SILENT_S", 0.2)
    monkeypatch.setattr(serving_module, "_CONNECTIONS", 2)
    with served(journal) as here:
        silent = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(3)]
        full = wait_until(lambda: ask(here, "/healthz").status)
        for client in silent:
            client.settimeout(5)
            assert client.recv(1) == b""  # the server has closed it
            client.close()
        assert (full, ask(here, "/healthz").status) == (503, 200)
