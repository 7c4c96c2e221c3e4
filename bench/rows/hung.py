"""An execution in a healthy root, alone and beside a root whose file system does not answer."""

from functools import partial
from pathlib import Path

from bench.figures import Figure, faster
from bench.rows.watched import watched
from bench.site import Row, Site, Sizes
from fuse import is_possible, mounted

SMALL_BYTES = 1000
HUNG_CALLS = "getattr lookup readdir"


def rows(sizes: Sizes) -> list[Row]:
    """Return the row, or none where no file system of ours can be mounted."""
    row = Row(
        "hung",
        f"{sizes.hung_files:,} files of {SMALL_BYTES} bytes, beside a root that hangs",
        "files",
        {"ours": partial(_upload, HUNG_CALLS), "ours, alone": partial(_upload, "")},
        (faster("ours, alone", 0.9),),
    )
    return [row] if is_possible() else []


def _upload(calls: str, site: Site, folder: Path) -> Figure:
    """Upload an execution while *calls* of another root get no answer; there is none without."""
    disk, point = folder / "disk", folder / "hung"
    (disk / "deriva-ml" / "execution").mkdir(parents=True)
    hangs = folder / "disk.hangs"
    with watched(site, folder) as work, mounted(disk, point, "mount"):
        if calls:
            text = work.config.read_text()
            work.config.write_text(f'{text}[[watch]]\nprefix = "{point}"\nrescan_s = 0.5\n')
        with work.running() as running:
            try:
                if calls:
                    hangs.write_text(calls)
                    running.wait_for(lambda event: event["event"] == "call.hung")
                rid, _ = work.write(site.sizes.hung_files, SMALL_BYTES)
                figure = work.figure(running, [rid], site.sizes.hung_files)
            finally:
                hangs.unlink(missing_ok=True)
        assert work.count() == site.sizes.hung_files
    return figure
