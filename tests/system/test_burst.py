"""A burst of files is seen whole, whatever the kernel reports; `bench/test_bursts.py` has more."""

from burst import Burst, seen_by_a_daemon


def test_a_burst_of_writers_links_and_a_moved_tree_is_seen_whole(tmp_path):
    burst = Burst(plain=600, renamed=80, linked=40, moved=200)

    seen = seen_by_a_daemon(burst, tmp_path, quiet_s=4)

    assert seen.ready["verdict"]["files"] == len(seen.names) == 921
    assert [event for event in seen.events if event["event"] == "execution.filling"]
