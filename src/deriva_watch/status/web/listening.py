"""The socket that the status page listens on."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deriva_watch.core.errors import TroubleError

_UNIX: Final = "unix:"
_MODE: Final = 0o660
_BACKLOG: Final = 64


@contextmanager
def listening(at: str) -> Iterator[tuple[socket.socket, str]]:
    """Listen *at* "ADDRESS:PORT" or "unix:/PATH"; yield the socket and the URL.

    Raises TroubleError if that is not possible.
    """
    try:
        listener = _at_path(Path(at.removeprefix(_UNIX))) if _is_unix(at) else _at_port(at)
    except OSError as error:
        raise _trouble(at, os.strerror(error.errno) if error.errno else str(error)) from error
    with listener:
        if not _is_unix(at):
            host = at.rpartition(":")[0]
            yield listener, f"http://{host}:{listener.getsockname()[1]}/"
            return
        path = Path(at.removeprefix(_UNIX))
        ours = path.lstat().st_ino
        try:
            yield listener, at
        finally:
            with suppress(OSError):
                if path.lstat().st_ino == ours:
                    path.unlink()


def _is_unix(at: str) -> bool:
    return at.startswith(_UNIX)


def _at_port(at: str) -> socket.socket:
    host, _, port = at.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)


def _at_path(path: Path) -> socket.socket:
    if path.is_symlink() or path.exists():
        _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), _MODE)  # before bind: never open to more
        listener.bind(str(path))
        path.chmod(_MODE)  # after bind: whatever the umask is
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Remove a socket that a dead process left, but nothing else."""
    at = f"{_UNIX}{path}"
    if path.is_symlink() or not path.is_socket():
        raise _trouble(at, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise _trouble(at, "another program listens there")


def _trouble(at: str, why: str) -> TroubleError:
    return TroubleError(
        f"cannot serve the status page at {at}",
        why,
        "Uploads continue. Change [status] listen, or end the other program; "
        "the daemon retries automatically.",
    )
