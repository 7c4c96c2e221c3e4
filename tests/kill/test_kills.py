"""Killed before or after any one call, a daemon that is started again completes the execution.

The process kills itself by SIGKILL, so nothing of it is put down. What the server, the receipts
and the manifest then say is held against what was put on disk, and no call is made again that the
journal has as done.

By default a few kills strike one execution after another; `SOAK=1` tries every call
by itself.
"""

import os
from itertools import count

import pytest

from kill import oracle
from kill.memory import Memory
from kill.scene import LEASE, Scene
from running import requests_seen

WHO = ("owner", "writer")
SOAK = bool(os.environ.get("SOAK"))

# What a run of the scene calls, each at least once.
CALLS = (
    "GET session",
    "GET schema",
    "GET deriva-ml:Execution",
    "GET deriva-ml:Asset_Type",
    "GET deriva-ml:Execution_Status",
    "GET deriva-ml:Execution_Asset",
    "GET deriva-ml:Execution_Asset_Execution",
    "GET demo:BoundingBox",
    "GET demo:Image",
    "GET demo:Image_Execution",
    "GET demo:Observation",
    "GET demo:Execution_Image_Remark",
    f"GET {LEASE}",
    f"POST {LEASE}",
    "POST deriva-ml:Execution_Asset",
    "POST deriva-ml:Execution_Asset_Execution",
    "POST deriva-ml:Execution_Asset_Asset_Type",
    "POST demo:BoundingBox",
    "POST demo:BoundingBox_Execution",
    "POST demo:Image",
    "POST demo:Image_Execution",
    "POST demo:Image_Asset_Type",
    "POST demo:Subject",
    "POST demo:Observation",
    "POST demo:Execution_Image_BoundingBox",
    "POST demo:Execution_Image_Remark",
    "PUT deriva-ml:Execution",
    "GET namespace",
    "HEAD object",
    "PUT object",
    "GET jobs",
    "POST jobs",
    "PUT chunk",
    "POST job",
    "write asset-manifest.json",
    "write kept rows",
    "write deriva-watch-rows.jsonl",
    "write kept receipt",
    "write deriva-watch-receipt.json",
    "commit",
    "uploaded",  # so is the commit called that makes it so
)
HAVE_A_BODY = {name for name in CALLS if name.startswith(("PUT", "POST"))} - {"POST job"}
MATRIX = [
    (who, when, name)
    for name in CALLS
    for when in ("before", "amid", "after")
    for who in WHO
    if (when != "amid" or name in HAVE_A_BODY) and (who, name) != ("owner", f"GET {LEASE}")
]
# Of all that is left after a kill, keyless rows of an ordinary writer are the hardest to tell.
SAMPLE = [
    ("writer", "after", "POST demo:Execution_Image_Remark"),
    ("owner", "amid", "PUT chunk"),
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
        "before PUT chunk 2",
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


@pytest.fixture(scope="module", params=WHO if SOAK else ["writer"])
def whole(request, ready, starter, tmp_path_factory):
    """A scene of which nothing was killed, and its calls."""
    scene = Scene(tmp_path_factory.mktemp("whole"), ready, request.param)
    return scene, starter.live(scene, "never")[0]


def test_files_of_all_kinds_arrive_once(whole):
    scene, _ = whole

    assert oracle.wrong(scene) == []


def test_no_call_is_missing_from_the_matrix(whole):
    """What is new belongs into CALLS, or no kill would strike there."""
    _, diary = whole

    assert {line.split(" ", 1)[1].rpartition(" ")[0] for line in diary} <= set(CALLS)


@pytest.mark.parametrize("case", MATRIX if SOAK else SAMPLE, ids="-".join)
def test_a_kill_costs_time_and_nothing_else(tmp_path, ready, starter, case, record_property):
    """Killed at the first call of that name, then at the second, until there are no more."""
    who, when, name = case
    found, kills = {}, 0
    for number in count() if SOAK else range(1):
        scene = Scene(tmp_path / str(number), ready, who)
        if not starter.live(scene, f"{when} {name} {number}")[1]:
            break  # there is no such call: it proves nothing
        kills += 1
        done = Memory.of(scene)
        repeated = done.repeated(ended(starter, scene, done))
        if said := oracle.wrong(scene) + repeated:
            found[number] = said

    record_property("kills", kills)
    assert found == {}
    assert kills, f"{who} does not call {name}"


@pytest.mark.parametrize("who", WHO if SOAK else ["writer"])
def test_a_kill_after_the_last_commit_is_not_noticed(tmp_path, ready, starter, who):
    """The execution is uploaded, and nobody was told."""
    scene = Scene(tmp_path, ready, who)
    assert starter.live(scene, "after uploaded 0")[1]

    done = Memory.of(scene)
    requests = ended(starter, scene, done)

    assert done.is_over
    assert oracle.wrong(scene) + done.repeated(requests) == []


@pytest.mark.parametrize("who", WHO if SOAK else ["writer"])
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
