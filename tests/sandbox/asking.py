"""The sandbox as a process, and clients that send exactly what they are told."""

import http.client
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        """The body without white space around it."""
        return self.body.decode().strip()

    @property
    def json(self):
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Somebody who may have a token; each request has a connection of its own."""

    host: str
    token: str | None = None

    def ask(self, method, path, *, body=None, rows=None, headers=()):
        """Send one request; *rows* go as JSON, a *body* that is no bytes without a length."""
        headers = dict(headers)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if rows is not None:
            body = json.dumps(rows, ensure_ascii=False).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            return ask_on(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path, **headers):
        """GET."""
        return self.ask("GET", path, headers=headers)

    def insert(self, table, *rows, query=""):
        """POST rows to a table."""
        path = f"/ermrest/catalog/1/entity/{table}{query}"
        return self.ask("POST", path, rows=list(rows))

    def select(self, path):
        """Return the rows of a path."""
        return self.get(f"/ermrest/catalog/1/entity/{path}").json

    def store(self, name, content=b"content", **headers):
        """PUT an object."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("PUT", f"/hatrac/{name}", body=content, headers=headers)


def ask_on(connection, method, path, body=None, headers=()):
    """Send one request on an open connection."""
    chunked = body is not None and not isinstance(body, bytes)
    connection.request(method, path, body, dict(headers), encode_chunked=chunked)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


class Sandbox:
    """A running sandbox."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "deriva_watch.sandbox", "--data", str(data), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: {self.process.communicate()[1]}")
        self.ready = json.loads(line)
        self.data = data
        self.owner = Client(self.ready["host"], self._token("owner"))
        self.writer = Client(self.ready["host"], self._token("writer"))
        self.anonymous = Client(self.ready["host"])

    def _token(self, who):
        text = Path(self.ready[f"{who}_credential_file"]).read_text()
        return json.loads(text)[self.ready["host"]]["bearer-token"]

    @property
    def log(self):
        """The request log."""
        lines = (self.data / "requests.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def stop(self, number=signal.SIGTERM):
        """End the server by a signal; return its exit status and what it complained of."""
        self.process.send_signal(number)
        errors = self.process.communicate(timeout=60)[1]
        return self.process.returncode, errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            status, errors = self.stop()
            assert (status, errors) == (0, "")
