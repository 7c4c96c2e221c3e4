"""A server that takes connections and never answers holds nobody up."""

import json
import socket

from running import daemon, write_config, write_files


def test_the_daemon_stops_while_the_server_keeps_silent(tmp_path):
    """The look that asks it would wait for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        credential = tmp_path / "credential.json"
        credential.write_text(json.dumps({host: {"bearer-token": "anything"}}))
        ready = {"host": host, "catalog": "1", "owner_credential_file": credential}
        write_files(tmp_path / "data/deriva-ml/execution/1-AB", {"assets/Image/a.png": b"a"})
        config = write_config(tmp_path / "daemon", ready, tmp_path / "data")
        with daemon(config) as running, silent.accept()[0]:  # it asks
            assert running.stop() == 143
            assert running.events()[-1]["event"] == "daemon.stopped"
