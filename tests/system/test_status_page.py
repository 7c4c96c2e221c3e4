"""The status page of a real daemon."""

import json
from contextlib import closing
from urllib.request import urlopen

from running import Api, daemon, sandbox, wait_until, write_config, write_files

SIZE_BYTES = 70_000


def seen(url, path):
    """Return what the daemon answers."""
    with urlopen(url + path, timeout=60) as answer:
        return json.load(answer)


def metrics(url, names):
    """Return some of what Prometheus gets."""
    with urlopen(f"{url}metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(values[name]) for name in names}


def test_a_page_shows_an_upload_and_does_not_hold_up_the_end_of_the_daemon(tmp_path):
    prefix = tmp_path / "data"
    with sandbox(tmp_path / "server") as ready:
        rid = Api(ready).execution()
        directory = prefix / "deriva-ml" / "execution" / rid
        write_files(directory, {"asset/deriva-ml/Execution_Asset/a.txt": "a" * SIZE_BYTES})
        listen = {"listen": "127.0.0.1:0"}
        with daemon(write_config(tmp_path / "us", ready, prefix, status=listen)) as running:
            url = running.wait_for(lambda event: event["event"] == "status.listening")["url"]
            with closing(urlopen(f"{url}stream", timeout=30)) as stream:
                overviews = (
                    json.loads(line.removeprefix(b"data: "))
                    for line in stream
                    if line.startswith(b"data: ")
                )
                counts = (overview["executions"] for overview in overviews)
                assert next(each for each in counts if each["uploaded"] == 1)
                (execution,) = seen(url, f"api/execution?rid={rid}")["executions"]
                assert execution["state"] == "uploaded"
                wait_until(lambda: seen(url, "healthz")["healthy"])
                point = seen(url, "api/day")["points"][-1]
                assert (point["sent_bytes"], point["backlog_files"]) == (SIZE_BYTES, 0)
                expected = {
                    "deriva_watch_sent_bytes_total": SIZE_BYTES,
                    "deriva_watch_hashed_bytes_total": SIZE_BYTES,
                    "deriva_watch_safe_bytes": SIZE_BYTES,
                    "deriva_watch_file_upload_seconds_count": 1,
                    "deriva_watch_execution_upload_seconds_count": 1,
                    "deriva_watch_time_to_catalog_seconds_count": 1,
                    "deriva_watch_server_up": 1,
                    "deriva_watch_crashes_total": 0,
                }
                assert metrics(url, expected) == expected

                assert running.stop() == 128 + 15
