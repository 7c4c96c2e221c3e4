import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deriva_watch.edges.host import healthz


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"healthy": true, "more": "' + b" " * 2**20 + b'"}', "larger than 1 MiB"),
        (b'{"healthy": true, "healthy": false}', "twice"),
        (b"<html>", "Expecting value"),
        (b"[]", "not from a deriva-watch daemon"),
    ],
)
def test_what_another_program_answers_is_no_word_of_a_daemon(answer, why):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()

        with pytest.raises(ValueError, match=why):
            healthz.ask("{}:{}".format(*server.server_address))
