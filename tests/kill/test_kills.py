"""Killed before or after any one call, a daemon that is started again completes the execution.

The process kills itself by SIGKILL, so nothing of it is put down. What the server, the receipts
and the manifest then say is held against what was put on disk, and no call is made again that the
journal has as done.

By default a few kills strike one execution after another; `DERIVA_WATCH_SOAK=1` tries every call
by itself.
"""

import os
from collections import Counter

import pytest

from kill import oracle
from kill.memory import Memory
from kill.scene import LEASE, Scene
from running import requests_seen

WHO = ("owner", "writer")
SOAK = bool(os.environ.get("DERIVA_WATCH_SOAK"))

# What a run of the scene calls, and how often at most: a kill at a call that is not made is none.
CALLS = {
    "GET session": 3,
    "GET schema": 3,
    "GET deriva-ml:Execution": 5,
    "GET deriva-ml:Asset_Type": 1,
    "GET deriva-ml:Execution_Status": 1,
    "GET deriva-ml:Execution_Asset": 3,
    "GET deriva-ml:Execution_Asset_Execution": 1,
    "GET demo:BoundingBox": 2,
    "GET demo:Image": 7,
    "GET demo:Image_Execution": 2,
    "GET demo:Observation": 1,
    "GET demo:Execution_Image_Remark": 1,
    f"GET {LEASE}": 1,
    f"POST {LEASE}": 2,
    "POST deriva-ml:Execution_Asset": 1,
    "POST deriva-ml:Execution_Asset_Execution": 2,
    "POST deriva-ml:Execution_Asset_Asset_Type": 1,
    "POST demo:BoundingBox": 1,
    "POST demo:BoundingBox_Execution": 1,
    "POST demo:Image": 3,
    "POST demo:Image_Execution": 1,
    "POST demo:Image_Asset_Type": 1,
    "POST demo:Subject": 1,
    "POST demo:Observation": 1,
    "POST demo:Execution_Image_BoundingBox": 1,
    "POST demo:Execution_Image_Remark": 1,
    "PUT deriva-ml:Execution": 1,
    "HEAD namespace": 4,
    "HEAD object": 4,
    "PUT object": 8,
    "POST jobs": 1,
    "PUT chunk": 3,
    "POST job": 1,
    "write asset-manifest.json": 1,
    "write kept receipt": 1,
    "write deriva-watch-receipt.json": 1,
    "commit": 43,
}
# Some come by the clock: on a busy machine there are more of them.
POLLED = {"GET session", "GET schema", "HEAD namespace", "GET deriva-ml:Execution"}
BODILESS = ("POST job",)
MATRIX = [
    (who, f"{when} {name} {number}")
    for who in WHO
    for name, count in CALLS.items()
    for number in range(count)
    for when in ("before", "amid", "after")
    if when != "amid" or (name.startswith(("PUT", "POST")) and name not in BODILESS)
]
# Of all that is left after a kill, keyless rows of an ordinary writer are the hardest to tell.
SAMPLE = [
    ("writer", "after POST demo:Execution_Image_Remark 0"),
    ("owner", "amid PUT object 3"),
    ("owner", "after commit 41"),
]
# In the order of a run: each strikes after a restart from the one before.
CHAINS = {
    "owner": (
        "after PUT object 1",
        "after PUT chunk 0",
        "after POST job 0",
        "after POST deriva-ml:Execution_Asset 0",
        "after POST demo:Execution_Image_Remark 0",
        "after PUT deriva-ml:Execution 0",
        "after write asset-manifest.json 0",
    ),
    "writer": (
        "before PUT chunk 1",
        "after POST public:ERMrest_RID_Lease 0",
        "after POST demo:Observation 0",
        "after POST demo:Image 0",
        "before POST demo:Image_Execution 0",
        "before write deriva-watch-receipt.json 0",
    ),
}


def ended(starter, scene, done):
    """Run the daemon as it is until all is uploaded; return what it asked of the server."""
    asked = len(requests_seen(scene.ready))
    if done.is_over:  # there is nothing to wait for; it might do something all the same
        starter.live(scene, None, "root.watched", rest_s=1.0)
    else:
        starter.live(scene, None)
    return requests_seen(scene.ready)[asked:]


@pytest.fixture(scope="module", params=WHO)
def whole(request, ready, starter, tmp_path_factory):
    """A scene of which nothing was killed, and its calls."""
    scene = Scene(tmp_path_factory.mktemp("whole"), ready, request.param)
    return scene, starter.live(scene, "never")[0]


def test_files_of_all_kinds_arrive_once(whole):
    scene, _ = whole

    assert oracle.wrong(scene) == []


def test_no_call_is_missing_from_the_matrix(whole):
    """Whatever is called more often belongs into CALLS, or no kill would strike there."""
    _, diary = whole
    calls = [line.split(" ", 1)[1].rpartition(" ")[0] for line in diary if line[:6] == "before"]

    more = Counter(calls) - Counter(CALLS)
    assert more.keys() <= POLLED


@pytest.mark.parametrize(
    "case", MATRIX if SOAK else SAMPLE, ids=lambda case: "-".join(case).replace(" ", "-")
)
def test_a_kill_costs_time_and_nothing_else(tmp_path, ready, starter, case):
    who, moment = case
    scene = Scene(tmp_path, ready, who)
    if not starter.live(scene, moment)[1]:
        assert SOAK, f"it did not come to {moment}"
        pytest.skip(f"{who} made no such call")

    done = Memory.of(scene)
    requests = ended(starter, scene, done)

    assert oracle.wrong(scene) == []
    assert done.repeated(requests) == []


@pytest.mark.parametrize("who", WHO)
def test_kills_one_after_another_cost_time_and_nothing_else(tmp_path, ready, starter, who):
    scene = Scene(tmp_path, ready, who)
    repeated = []
    for moment in CHAINS[who]:
        done, asked = Memory.of(scene), len(requests_seen(ready))
        assert starter.live(scene, moment)[1], f"it did not come to {moment}"
        repeated += done.repeated(requests_seen(ready)[asked:])

    done = Memory.of(scene)
    repeated += done.repeated(ended(starter, scene, done))

    assert oracle.wrong(scene) == []
    assert repeated == []
