"""What can become of a root while it is watched by events: its next scan is an hour away."""

import shutil
import subprocess
from pathlib import Path

import pytest

from running import Api, daemon, sandbox, write_config, write_files

WATCHES = 100
LESS = "--bounding-set=-dac_override,-dac_read_search"
# Mounts and limits of its own, and no right to read what is not to be read.
THROUGH = (
    "unshare", "-Urm", "sh", "-c",
    f'echo {WATCHES} > /proc/sys/user/max_inotify_watches && exec setpriv {LESS} "$@"', "sh",
)  # fmt: skip


def has_namespaces():
    return subprocess.run([*THROUGH, "true"], capture_output=True, check=False).returncode == 0


def mount(running, *words):
    """Run a command where the daemon sees what it mounts."""
    inside = ("nsenter", "-t", str(running.pid), "-U", "-m", "--preserve-credentials")
    subprocess.run([*inside, *map(str, words)], check=True)


class Lab:
    """A daemon with two prefixes, of which one is polled, and what comes to them."""

    def __init__(self, api, running, data: Path):
        self.api, self.running, self.data = api, running, data
        self.rids = []
        self.seen = 0

    def drop(self, prefix: Path, files=("a.txt",), folder=""):
        """Write a new execution directory; return its RID."""
        rid = self.api.execution()
        self.rids.append(rid)
        below = f"assets/Execution_Asset{folder}"
        root = prefix / "deriva-ml/execution" / rid
        write_files(root, {f"{below}/{name}": f"{rid} {name}" for name in files})
        return rid

    def event(self, name, prefix=None, **more):
        """Wait for an event that came after the last one that was waited for."""
        wanted = {"event": name, **more} | ({"prefix": str(prefix)} if prefix else {})

        def fits(event):
            return wanted.items() <= event.items()

        found = self.running.wait_for(fits, after=self.seen)
        self.seen = self.running.events().index(found) + 1
        return found

    def files_of(self, rid):
        """Return to how many files an execution is linked."""
        rows = self.api.rows("deriva-ml:Execution_Asset_Execution")
        return sum(row["Execution"] == rid for row in rows)

    def is_in(self, rid):
        """Wait until an execution is uploaded."""
        self.running.wait_for_state(rid, "uploaded")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("roots")
    if not has_namespaces():
        pytest.skip("needs user and mount namespaces (unshare -Urm), which this host refuses")
    data = tmp_path / "data"
    for prefix in (data, tmp_path / "other"):
        (prefix / "deriva-ml/execution").mkdir(parents=True)
    with sandbox(tmp_path / "server") as ready:
        config = write_config(tmp_path / "daemon", ready, data)
        text = config.read_text().replace("[[watch]]\n", "[[watch]]\nrescan_s = 3600\n")
        other = f'prefix = "{tmp_path}/other"\nobserver = "polling"\nrescan_s = 0.5'
        config.write_text(f"[[watch]]\n{other}\n{text}")
        with daemon(config, through=THROUGH) as running:
            lab = Lab(Api(ready), running, data)
            lab.other = tmp_path / "other"
            lab.event("root.watched", data, observer="native")
            yield lab
        assert not [e for e in running.events() if e["event"] == "daemon.crashed"]


def test_whatever_becomes_of_a_root_is_told_and_nothing_is_missed(lab, tmp_path):
    data, other = lab.data, lab.other

    shutil.rmtree(data / "deriva-ml")  # deleted: the other root goes on
    lab.event("root.missing", data)
    lab.is_in(lab.drop(other))

    rid = lab.drop(data)  # made again
    lab.event("root.watched", data)
    lab.is_in(rid)
    lab.is_in(lab.drop(data))

    data.rename(tmp_path / "renamed")  # renamed, with another in its place
    lab.event("root.missing", data)
    rid = lab.drop(data)
    lab.event("root.watched", data)
    lab.is_in(rid)
    (tmp_path / "renamed/deriva-ml/execution/not-ours").mkdir()

    (tmp_path / "disk/deriva-ml/execution").mkdir(parents=True)
    rid = lab.drop(tmp_path / "disk")  # mounted over
    mount(lab.running, "mount", "--bind", tmp_path / "disk", data)
    lab.event("root.watched", data)
    lab.is_in(rid)
    lab.is_in(lab.drop(tmp_path / "disk"))

    mount(lab.running, "umount", data)  # what lies below is there again
    lab.event("root.watched", data)
    lab.is_in(lab.drop(data))
    assert [lab.files_of(rid) for rid in lab.rids] == [1] * 7
    assert "not-ours" not in {event.get("execution") for event in lab.running.events()}


def test_folders_that_lack_watches_are_scanned_and_nothing_is_missed(lab):
    """A hundred watches, and a directory of more folders than that, which goes on filling."""
    many = [f"{n}/a.txt" for n in range(WATCHES + 20)]
    rid = lab.api.execution()
    root = lab.data / "deriva-ml/execution" / rid / "asset/deriva-ml/Execution_Asset"
    write_files(root, {name: name for name in many})

    lost = lab.event("watch.lost")
    scarce = lab.event("watch_limit.nearly_reached")

    assert scarce["limit"] == WATCHES
    assert "sysctl -w fs.inotify.max_user_watches=" in scarce["next"]
    assert "sysctl -w fs.inotify.max_user_watches=" in lost["why"]
    lab.is_in(rid)
    assert lab.files_of(rid) == len(many)


def test_a_folder_that_may_not_be_read_is_told_and_taken_once_it_may(lab):
    rid = lab.api.execution()
    root = lab.data / "deriva-ml/execution" / rid
    write_files(root, {"assets/Execution_Asset/a.txt": rid})
    (root / "assets").chmod(0)
    try:
        told = lab.running.wait_for(
            lambda e: e.get("execution") == rid and e["event"] == "execution.refused"
        )
    finally:
        (root / "assets").chmod(0o755)

    assert "Permission denied" in str(told)
    lab.is_in(rid)
    assert lab.files_of(rid) == 1
