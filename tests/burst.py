"""Files that come faster than anybody can look at them, written by several processes."""

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from running import Api, daemon, sandbox, write_config

WRITERS = 4
FILES_A_FOLDER = 50
HELD = "held"  # it is open until the last is written: a busy machine may hold up all writers


@dataclass(frozen=True)
class Burst:
    """How many files of each kind all writers make together.

    Attributes:
        plain: In fresh nested directories.
        renamed: Written under another name first.
        linked: Further names of plain files; as many hard links as symbolic ones.
        moved: In a tree that was made aside and is moved in whole.
    """

    plain: int
    renamed: int
    linked: int
    moved: int

    def write(self, root: Path, aside: Path) -> tuple[set[str], float]:
        """Write all below *root*, a part of it *aside* before; return the paths, and when it ended.

        That is a time of the clock on the wall, in seconds.
        """
        whole = aside / "moved"
        found = {HELD} | {f"moved/{name}" for name in _plain(whole, self.moved)}
        root.mkdir(parents=True)
        writers = ProcessPoolExecutor(WRITERS, multiprocessing.get_context("forkserver"))
        with (root / HELD).open("w"), writers as pool:
            list(pool.map(time.sleep, [0.1] * WRITERS))  # they are all there
            folders = [root / f"writer {number}" for number in range(WRITERS)]
            share = Burst(*(count // WRITERS for count in vars(self).values()))
            written = pool.map(share._part, folders)
            whole.rename(root / "moved")
            for folder, names in zip(folders, written, strict=True):
                found |= {f"{folder.name}/{name}" for name in names}
            return found, time.time()

    def _part(self, folder: Path) -> list[str]:
        """Do one writer's share; return the names below *folder*."""
        names = _plain(folder, self.plain)
        made = list(names)
        for number in range(self.renamed):
            name = f"renamed {number}"
            (folder / f"{name}.tmp").write_bytes(b"renamed")
            (folder / f"{name}.tmp").rename(folder / name)
            made.append(name)
        for number in range(self.linked // 2):
            hard, soft = f"hard {number}", f"soft {number}"
            (folder / hard).hardlink_to(folder / names[number % len(names)])
            (folder / soft).symlink_to(names[number % len(names)])
            made += [hard, soft]
        return made


@dataclass(frozen=True)
class Seen:
    """What a daemon saw of a burst.

    Attributes:
        names: The paths that were written.
        ended_s: When the last of them was, in seconds since 1970.
        ready: The event that says that the directory is complete.
        events: All events of the daemon until then.
    """

    names: set[str]
    ended_s: float
    ready: dict
    events: list[dict]


def seen_by_a_daemon(burst: Burst, folder: Path, quiet_s: float, timeout_s: float = 60) -> Seen:
    """Write a burst into an execution directory that a daemon watches."""
    with sandbox(folder / "server") as ready:
        rid = Api(ready).execution("Created")  # its status shortens no wait
        config = write_config(
            folder / "daemon", ready, folder / "data", completion={"quiet_s": quiet_s}
        )
        root = folder / "data" / "deriva-ml" / "execution" / rid
        root.parent.mkdir(parents=True)
        with daemon(config) as running:
            names, ended_s = burst.write(root, folder)
            done = running.wait_for_state(rid, "ready", timeout_s)
            return Seen(names, ended_s, done, running.events())


def _plain(folder: Path, count: int) -> list[str]:
    names = []
    for number in range(count):
        place, within = divmod(number, FILES_A_FOLDER)
        if not within:
            (folder / f"{place % 10}" / f"{place}").mkdir(parents=True)
        names.append(f"{place % 10}/{place}/{within}.bin")
        # os.open: a Path's way takes twice as long, and speed is what a burst is about
        file = os.open(folder / names[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(file, b"%d" % number)
        os.close(file)
    return names
