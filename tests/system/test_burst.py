"""A burst of files is seen whole, whatever the kernel tells of it; `make bench` has a large one."""

from burst import Burst
from running import Api, daemon, sandbox, write_config


def test_a_burst_of_writers_links_and_a_moved_tree_is_seen_whole(tmp_path):
    burst = Burst(plain=600, renamed=80, linked=40, moved=200)
    with sandbox(tmp_path / "server") as ready:
        rid = Api(ready).execution("Created")  # its status shortens no wait
        config = write_config(
            tmp_path / "daemon", ready, tmp_path / "data", completion={"quiet_s": 1.5}
        )
        root = tmp_path / "data" / "deriva-ml" / "execution" / rid
        root.parent.mkdir(parents=True)
        with daemon(config) as running:
            names, _ = burst.write(root, tmp_path)

            done = running.wait_for_state(rid, "ready")

    assert done["verdict"]["files"] == len(names) == 920
    assert [e for e in running.events() if e["event"] == "execution.filling"]
