"""A door before a server, for one uploader: each of its requests waits there for its turn."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from engine.turns import Turns

_HOPS: Final = {"connection", "keep-alive", "transfer-encoding", "host"}


@contextmanager
def gate(
    ready: Mapping[str, Any], folder: Path, turns: Turns, who: int
) -> Iterator[dict[str, Any]]:
    """Open a door; yield what a server says of itself, with the door's address."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = turns.take(who, f"{self.command} {self.path}", lambda: self.ask(body))
            status, headers, content = answer
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOPS:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            server = http.client.HTTPConnection(ready["host"])
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _HOPS}
            server.request(self.command, self.path, body, headers)
            answer = server.getresponse()
            content = answer.read()
            server.close()
            return answer.status, answer.getheaders(), content

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815  # its names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        host = f"127.0.0.1:{server.server_address[1]}"
        [known] = json.loads(Path(ready["owner_credential_file"]).read_text()).values()
        file = folder / f"credential-{who}.json"
        file.write_text(json.dumps({host: known}))
        file.chmod(0o600)
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield {**ready, "host": host, "owner_credential_file": str(file)}
        server.shutdown()
