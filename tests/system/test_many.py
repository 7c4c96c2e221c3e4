"""Many files and a large one, in one run."""

import hashlib
import os
import random
import re
import time
from base64 import b64decode
from pathlib import Path

import pytest

from running import Api, daemon, sandbox, write_config
from system.difference import ASSET, LINK, new_rows

MIB = 1024 * 1024
SMALL_COUNT, SMALL_BYTES = 1000 if "SOAK" in os.environ else 200, 10_000
LARGE_BYTES = 200_000_000
MOST_MEMORY_KIB = 250 * 1024


@pytest.fixture
def files(tmp_path):
    """Make the files aside; return their MD5 by name."""
    folder, source = tmp_path / "made", random.Random(6)
    folder.mkdir()
    found = {}
    for n in range(SMALL_COUNT):
        content = source.randbytes(SMALL_BYTES)
        (folder / f"small-{n:04}.bin").write_bytes(content)
        found[f"small-{n:04}.bin"] = hashlib.md5(content).hexdigest()
    md5, piece = hashlib.md5(), source.randbytes(LARGE_BYTES // 200)
    with (folder / "large.bin").open("wb") as large:
        for n in range(200):
            large.write(piece[n:] + piece[:n])
            md5.update(piece[n:] + piece[:n])
    return {**found, "large.bin": md5.hexdigest()}


def test_many_files_and_a_large_one_arrive_in_little_memory(
    tmp_path, files, record_property, capsys
):
    """10 KB each, and 200 MB in chunks; the time it takes is told and not judged."""
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid, config = api.execution(), write_config(tmp_path / "daemon", ready, tmp_path)
        before = api.tables()
        assets = tmp_path / "deriva-ml" / "execution" / rid / "assets" / "Execution_Asset"
        assets.parent.mkdir(parents=True)
        with daemon(config, through=["env"]) as running:  # with its own modules in memory alone
            (tmp_path / "made").rename(assets)
            running.wait_for_state(rid, "uploading")
            start_s = time.monotonic()
            done = running.wait_for_state(rid, "uploaded", timeout_s=300)
            took_s = time.monotonic() - start_s
            memory_kib = most_memory_kib(running.pid)
            assert running.stop() == 143

        assert done["files"] == {"linked": len(files)}
        new = new_rows(before, api.tables())
        assert {table: len(rows) for table, rows in new.items()} == dict.fromkeys(
            (ASSET, LINK), len(files)
        )
        assert {row["Filename"]: row["MD5"] for row in new[ASSET]} == files
        assert sorted(api.versions().values()) == sorted([row["URL"]] for row in new[ASSET])
        with api.session() as session:
            stored = {
                row["Filename"]: b64decode(
                    session.head(api.url + row["URL"]).headers["Content-MD5"]
                )
                for row in new[ASSET]
            }
        assert {name: md5.hex() for name, md5 in stored.items()} == files

    assert memory_kib < MOST_MEMORY_KIB
    figures = {
        "seconds": round(took_s, 1),
        "files_per_s": round(len(files) / took_s),
        "mb_per_s": round((LARGE_BYTES + SMALL_COUNT * SMALL_BYTES) / took_s / 1e6, 1),
        "memory_mib": memory_kib // 1024,
    }
    for name, value in figures.items():
        record_property(name, value)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201


def most_memory_kib(pid):
    """Return the most memory that a process has had resident (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])
