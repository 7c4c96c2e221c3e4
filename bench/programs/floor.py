"""A bare client: the same bytes on some connections, then all rows in one insert.

Small files are one PUT each. Large ones are hashed one after the other, and sent in chunks while
the next one is hashed. It decides nothing, remembers nothing and gives up at the first error.
"""

import base64
import hashlib
import http.client
import json
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.programs.report import order, report

BLOCK_BYTES = 1024**2
JSON = {"Content-Type": "application/json"}


@dataclass
class _Large:
    """A large file on its way."""

    path: Path
    size_bytes: int
    md5: bytes
    job: str
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Client:
    def __init__(self, work: dict[str, Any]) -> None:
        self._work = work
        self._chunk_bytes = work["chunk_bytes"]
        self._files = [Path(file) for file in work["files"]]
        self._todo: queue.Queue[Callable[[http.client.HTTPConnection], None] | None]
        self._todo = queue.Queue(4 * work["connections"])
        self._rows: list[dict[str, Any]] = []
        self._errors: list[BaseException] = []

    def upload(self) -> int:
        """Send all files and rows; return how many."""
        senders = [threading.Thread(target=self._send) for _ in range(self._work["connections"])]
        for sender in senders:
            sender.start()
        for path in self._files:
            if path.stat().st_size > self._chunk_bytes:
                self._cut(path)
            else:
                self._todo.put(lambda connection, path=path: self._put(connection, path))
        for _ in senders:
            self._todo.put(None)
        for sender in senders:
            sender.join()
        if self._errors:
            raise self._errors[0]
        self._ask(self._connection(), "POST", self._work["rows"], json.dumps(self._rows), JSON)
        return len(self._rows)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._work["host"])

    def _send(self) -> None:
        connection = self._connection()
        while act := self._todo.get():
            try:
                if not self._errors:
                    act(connection)
            except BaseException as error:  # noqa: BLE001  # raised where all have ended
                self._errors.append(error)
        connection.close()

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: str | bytes | memoryview,
        headers: dict[str, str],
    ) -> str:
        token = {"Authorization": f"Bearer {self._work['token']}"}
        connection.request(method, path, body, headers | token)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text}")
        return text.strip()

    def _put(self, connection: http.client.HTTPConnection, path: Path) -> None:
        content = path.read_bytes()
        md5 = hashlib.md5(content)
        headers = {"Content-MD5": _base64(md5.digest()), "If-None-Match": "*"}
        name = f"/hatrac/Blob/{md5.hexdigest()}.{path.name}"
        url = self._ask(connection, "PUT", name, content, headers)
        self._done(path, len(content), md5.digest(), url)

    def _cut(self, path: Path) -> None:
        md5, sha256 = hashlib.md5(), hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                md5.update(block)
                sha256.update(block)
        size_bytes = path.stat().st_size
        description = {
            "chunk-length": self._chunk_bytes,
            "content-length": size_bytes,
            "content-md5": _base64(md5.digest()),
            "content-sha256": _base64(sha256.digest()),
        }
        name = f"/hatrac/Blob/{md5.hexdigest()}.{path.name}"
        body = json.dumps(description)
        job = self._ask(self._connection(), "POST", f"{name};upload", body, JSON)
        large = _Large(path, size_bytes, md5.digest(), job, -(-size_bytes // self._chunk_bytes))
        for number in range(large.left):
            self._todo.put(lambda connection, n=number: self._put_chunk(connection, large, n))

    def _put_chunk(self, connection: http.client.HTTPConnection, large: _Large, n: int) -> None:
        with large.path.open("rb") as file:
            file.seek(n * self._chunk_bytes)
            content = file.read(self._chunk_bytes)
        self._ask(connection, "PUT", f"{large.job}/{n}", content, {})
        with large.lock:
            large.left -= 1
            is_last = not large.left
        if is_last:
            url = self._ask(connection, "POST", large.job, b"", {})
            self._done(large.path, large.size_bytes, large.md5, url)

    def _done(self, path: Path, size_bytes: int, md5: bytes, url: str) -> None:
        self._rows.append(
            {"URL": url, "Filename": path.name, "Length": size_bytes, "MD5": md5.hex()}
        )


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


if __name__ == "__main__":
    client = _Client(order())
    report(client.upload)
