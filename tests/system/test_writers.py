"""Programs that write in every way there is, beside each other in one daemon's folder.

Each directory must be taken once, after the last that its writer did: a second time means that the
first came too early.
"""

import os
import re
import subprocess
import tomllib
from datetime import UTC, datetime
from hashlib import md5

from deriva_watch.edges.journal import open_readonly
from running import Api, daemon, sandbox, wait_until, write_config

SLOW = 30 if os.environ.get("SOAK") else 2  # then minutes instead of seconds
FOLDER, UPLOADS = "execution-asset/Model_File", "uploads by itself"
QUIET_S, SIGNAL_S, PARTIAL_S = 1.0 * SLOW, 0.8 * SLOW, 3.0 * SLOW

# Each runs in the folder of the assets; `nap` waits for so many seconds, or half minutes.
WRITERS = {
    "appends slowly": "for i in 1 2 3 4 5 6 7 8; do echo $i >>log.txt; nap 0.25; done",
    "pauses with the file open": "exec 3>>a.bin; echo a >&3; nap 1.6; echo b >&3",
    "is killed": "exec 3>>a.bin; echo a >&3; nap 1.5; kill -9 $$",
    "renames into place": "echo b >b.bin; echo a >a.bin.part; nap 1.6; mv a.bin.part a.bin",
    "marks it and logs on": "exec 3>>log.txt; touch ../../.complete; "
    "for i in 1 2 3 4; do echo $i >&3; nap 0.4; done",
    "stopped and logs on": "for i in 1 2 3 4 5 6 7 8; do echo $i >>log.txt; nap 0.2; done",
    "copies with old times": "for i in 1 2 3; do echo $i >a.$i; touch -d 2001-01-01 a.$i; nap 0.5; "
    "done",
    "has a fast clock": "for i in 1 2 3; do echo $i >a.$i; touch -d 2040-01-01 a.$i; nap 0.5; done",
    UPLOADS: "echo a >a.bin; nap 1.6",
}
STATUSES = {"stopped and logs on": "Stopped", UPLOADS: "Pending_Upload"}


def writing(root, script):
    """Let a process write into a folder of assets below *root*."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    slow = re.sub(r"nap ([\d.]+)", lambda nap: f"sleep {float(nap[1]) * SLOW}", script)
    return subprocess.Popen(["sh", "-c", slow], cwd=folder)


def ends(writers):
    """Return when each writer ended."""
    times = {}

    def all_ended():
        for name, writer in writers.items():
            if writer.poll() is not None:
                times.setdefault(name, datetime.now(UTC))
        return len(times) == len(writers)

    wait_until(all_ended, timeout_s=60 * SLOW)
    return times


def hashed_ahead(config, rid):
    """Return the digests that the daemon has of an execution before it is complete."""
    journal = open_readonly(tomllib.loads(config.read_text())["journal"]["url"])
    return [digest for each in journal.executions(rid=rid) for digest in journal.digests(each.id)]


def test_each_directory_is_taken_once_after_the_last_that_its_writer_did(tmp_path):
    waits = {"quiet_s": QUIET_S, "quiet_after_signal_s": SIGNAL_S, "quiet_max_s": PARTIAL_S}
    waits |= {"grace_s": 0.2, "foreign_upload_cap_s": 10_000}
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rids = {name: api.execution(STATUSES.get(name, "Created")) for name in WRITERS}
        roots = {name: tmp_path / "deriva-ml/execution" / rid for name, rid in rids.items()}
        config = write_config(tmp_path / "daemon", ready, tmp_path, completion=waits)
        with daemon(config) as running:
            ended = ends({name: writing(roots[name], WRITERS[name]) for name in WRITERS})
            ended[UPLOADS] = datetime.now(UTC)
            if SLOW > 2:  # there was time for it
                assert hashed_ahead(config, rids[UPLOADS])
            failed = [{"RID": rids[UPLOADS], "Status": "Failed"}]
            url = f"{api.catalog}/attributegroup/deriva-ml:Execution/RID;Status"
            api.call("PUT", url, json=failed)
            for rid in rids.values():
                running.wait_for_state(rid, "uploaded", timeout_s=60 * SLOW)

        names = {rid: name for name, rid in rids.items()}
        taken = [each for each in running.events() if each["event"] == "execution.ready"]
        assert sorted(names[each["execution"]] for each in taken) == sorted(WRITERS)
        for each in taken:
            assert datetime.fromisoformat(each["time"]) > ended[names[each["execution"]]], each
        files = [file for root in roots.values() for file in root.glob(f"{FOLDER}/*")]
        written = {(file.name, md5(file.read_bytes()).hexdigest()) for file in files}
        rows = api.rows("deriva-ml:Execution_Asset")  # files that say the same share one
        assert {(row["Filename"], row["MD5"]) for row in rows} == written
