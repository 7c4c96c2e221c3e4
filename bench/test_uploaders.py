"""Ours and deriva-py's uploader side by side: one tree, one spec, a fresh sandbox each.

Each time is that of a whole upload, from connecting to the last row; nothing is asserted about it.
"""

import hashlib
import json
import shutil
import time

import pytest

from oracle.rivals import Rivals
from oracle.specs import generated
from running import Api, requests_seen, write_files

FOLDER = "deriva-ml/execution/1-ABC/asset/lab/Blob"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def rivals(tmp_path_factory):
    rivals = Rivals(tmp_path_factory.mktemp("bench"))
    yield rivals
    rivals.close()


def content(number, size_bytes):
    """Return bytes that no other number has."""
    block = hashlib.sha256(str(number).encode()).digest()
    return (block * (size_bytes // len(block) + 1))[:size_bytes]


@pytest.mark.parametrize("latency_ms", [0, 20])
@pytest.mark.parametrize(
    ("count", "size_bytes"), [(300, 10_000), (1, 200 * MIB)], ids=["many small", "one large"]
)
def test_figures(rivals, count, size_bytes, latency_ms):
    folder = rivals.folder()
    tree, spec = folder / "tree", folder / "spec.json"
    spec.write_text(json.dumps(generated()))
    files = {f"{FOLDER}/{number}.bin": content(number, size_bytes) for number in range(count)}
    took_s = {}
    print(f"\n{count} files of {size_bytes:,} bytes, {latency_ms} ms a request")
    for name in ("deriva-py", "ours"):
        ready = rivals.server(folder / name, latency_ms=latency_ms)
        write_files(tree, files)
        start_s = time.monotonic()
        if name == "ours":
            outcome = rivals.ours(ready, tree, spec, folder / "state", {})
        else:
            outcome = rivals.theirs(ready, tree, spec, timeout_s=600)
        took_s[name] = time.monotonic() - start_s
        shutil.rmtree(tree)
        requests = len(requests_seen(ready))
        assert outcome.brought == set(files)
        assert len(Api(ready).rows("lab:Blob")) == count
        speed = count * size_bytes / took_s[name] / 1e6
        print(
            f"  {name:<10} {took_s[name]:7.2f} s {count / took_s[name]:8.1f} files/s "
            f"{speed:8.1f} MB/s {requests:6} requests"
        )
    print(f"  ours is {took_s['deriva-py'] / took_s['ours']:.1f} times as fast")
