"""Computes digests in a separate process of idle priority.

A thread would not do: at idle priority it could be suspended while it holds the interpreter's lock,
and stop all others. The kernel also takes the priority of reading from that of the process.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from deriva_watch.engine.content import Digests, digests
from deriva_watch.liveness import beat

_POLL_S: Final = 0.2  # how soon it notices that the digests are no longer wanted
_TIMES: Final = slice(10, 12)  # of a process, after its state in /proc/PID/stat (proc(5))
_SERVE: Final = "from deriva_watch.watch.prehash_process import serve; serve()"


class HashProcess:
    """The process. It is started when it is first needed, and again after `close`."""

    def __init__(self) -> None:
        """Begin without it."""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self.problem: str | None = None  # why it has no idle priority
        self._used: tuple[str, ...] = ()  # of the processor

    def digests(self, body: BinaryIO, is_wanted: Callable[[], bool]) -> Digests | None:
        """Hash *body* from its beginning; None if it cannot be read, or is no longer wanted.

        Raises OSError if the process cannot be started, or was killed.
        """
        channel = self._channel or self._start()
        try:
            socket.send_fds(channel, [b"."], [body.fileno()])
            while is_wanted():
                if self._makes_progress():
                    beat()
                try:
                    answer = channel.recv(1024)
                except TimeoutError:
                    continue
                if not answer:
                    raise ConnectionResetError  # noqa: TRY301
                found = json.loads(answer)
                return Digests(*found) if found else None
        except ConnectionError as error:
            self.close()
            raise ConnectionError("the process that hashes has ended") from error
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def _makes_progress(self) -> bool:
        """Return whether it computes, or would if it got a processor: idle priority may take long.

        It does not while it waits for a disk.
        """
        if self._process is None:
            return False
        try:
            said = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:  # it has ended
            return False
        state, *fields = said.rpartition(")")[2].split()
        before, self._used = self._used, tuple(fields[_TIMES])
        return state == "R" or self._used != before

    def close(self) -> None:
        """End the process at once."""
        if self._channel:
            self._channel.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter, and no shell
                [sys.executable, "-P", "-c", _SERVE],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the daemon
            )
        self._channel = ours
        ours.settimeout(_POLL_S)
        try:
            os.sched_setscheduler(self._process.pid, os.SCHED_IDLE, os.sched_param(0))
        except PermissionError as error:
            self.problem = error.strerror
        return ours


def serve() -> None:
    """Run as that process: answer each descriptor that arrives on standard input with digests."""
    with socket.socket(fileno=0) as channel:
        while True:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
            if not descriptors:
                return
            channel.send(_answer(channel, descriptors[0]))


def _answer(channel: socket.socket, descriptor: int) -> bytes:
    def moved(_count: int) -> None:
        try:
            ended = not channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if ended:
            sys.exit()

    try:
        with os.fdopen(descriptor, "rb", buffering=0) as body:
            found = digests(body, moved)
    except OSError:
        return b"[]"
    return json.dumps([found.md5, found.sha256, found.size_bytes]).encode()
