"""What a rescan costs where all is finished, beside a look at every file.

`BENCH_RESCAN_FILES` says how many files there are, a hundred in each execution.
"""

import os
import resource
import time

from deriva_watch.edges.disk.scanning.listing import execution_directories
from deriva_watch.edges.disk.scanning.scanner import ScanPolicy, scan
from deriva_watch.watch.folder_cache import FolderCache

FILES = int(os.environ.get("BENCH_RESCAN_FILES", "1000000"))
EACH = 100
HOUR_S = 3600.0


def test_a_rescan_of_what_is_finished(tmp_path):
    for number in range(FILES // EACH):
        folder = tmp_path / "deriva-ml" / "execution" / f"1-{number:05}" / "assets" / "Image"
        folder.mkdir(parents=True)
        for name in range(EACH):
            os.close(os.open(folder / f"{name}.bin", os.O_CREAT | os.O_WRONLY))
    cache, policy = FolderCache(), ScanPolicy(tmp_path)
    print(f"\n{FILES} files in {FILES // EACH} executions")

    def look_at_all():
        for name, path in execution_directories(tmp_path).items():
            cache.keep(name, scan(path, policy))

    def rescan():
        names = execution_directories(tmp_path)
        assert all(cache.is_still(name, HOUR_S) for name in names)

    tell("a look at every file", look_at_all)
    time.sleep(3)  # what was found twice, and not within a tick, counts
    tell("the same again", look_at_all)
    tell("a rescan", rescan)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {peak_mib:.0f} MiB at most, with all folders kept in mind")


def tell(what, act):
    """Say how long an act takes."""
    start_s, cpu_s = time.monotonic(), time.process_time()
    act()
    used_s = time.process_time() - cpu_s
    print(f"  {what}: {time.monotonic() - start_s:.2f} s, {used_s:.2f} s of CPU")
