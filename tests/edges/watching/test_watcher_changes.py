"""Whatever is done in directories that are followed, a hint follows it."""

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from deriva_watch.edges.watching.watcher import Folder, Watcher

UNITS = ("1-A", "1-B", "1-C")
CHANGES = 150
SEEDS = range(200 if os.environ.get("SOAK") else 2)
DEADLINE_S = 60


class Ears:
    """Waits for hints."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.came = threading.Condition()

    def hint(self, _prefix: Path, rid: str) -> None:
        """Take a hint."""
        with self.came:
            self.heard.add(rid)
            self.came.notify()

    def hear(self, rids: set[str]) -> set[str]:
        """Return which of *rids* had no hint since the last call, in the end."""
        ends_s = time.monotonic() + DEADLINE_S
        with self.came:
            while not rids <= self.heard and (left_s := ends_s - time.monotonic()) > 0:
                self.came.wait(left_s)
            return rids - self.heard

    def forget(self) -> None:
        """Begin to listen again."""
        with self.came:
            self.heard.clear()


class Disk:
    """Does something to the directories, by chance; each way returns the units it concerns."""

    def __init__(self, executions: Path, chance: random.Random) -> None:
        self.executions, self.chance, self.count = executions, chance, 0

    def unit(self, path: Path) -> str:
        """Return the directory that a path is in."""
        return path.relative_to(self.executions).parts[0]

    def new(self) -> str:
        """Return a name that was not there before."""
        self.count += 1
        return str(self.count)

    def some(self, *, files: bool) -> Path | None:
        """Return a file or a folder."""
        found = sorted(
            Path(base, name)
            for unit in UNITS
            for base, folders, names in os.walk(self.executions / unit)
            for name in (names if files else [*folders, "."])
        )
        return self.chance.choice(found) if found else None

    def ways(self):
        """Return all that can be done."""
        changes = (self.write, self.append, self.move, self.link, self.remove, self.allow)
        return (self.make_folders, *changes)

    def make_folders(self) -> set[str]:
        """Make up to three folders in each other, with a file in the last."""
        top = self.some(files=False)
        folder = top.joinpath(*(self.new() for _ in range(self.chance.randint(1, 3))))
        folder.mkdir(parents=True)
        (folder / self.new()).touch()
        return {self.unit(top)}

    def write(self) -> set[str]:
        """Write a new file."""
        folder = self.some(files=False)
        (folder / self.new()).write_text("x")
        return {self.unit(folder)}

    def append(self) -> set[str]:
        """Write at the end of a file."""
        if (path := self.some(files=True)) is None:
            return set()
        with path.open("a") as file:
            file.write("x")
        return {self.unit(path)}

    def move(self) -> set[str]:
        """Move a file or a folder to anywhere but into itself."""
        source, folder = self.some(files=self.chance.random() < 0.3), self.some(files=False)
        if source is None or source.name in {"", *UNITS} or folder.is_relative_to(source):
            return set()
        source.rename(folder / self.new())
        return {self.unit(source), self.unit(folder)}

    def link(self) -> set[str]:
        """Give a file a second name."""
        source, folder = self.some(files=True), self.some(files=False)
        if source is None:
            return set()
        os.link(source, folder / self.new())
        return {self.unit(folder)}

    def remove(self) -> set[str]:
        """Remove a file or a folder."""
        path = self.some(files=self.chance.random() < 0.7)
        if path is None or path.name in {"", *UNITS}:
            return set()
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return {self.unit(path)}

    def allow(self) -> set[str]:
        """Change a right."""
        path = self.some(files=self.chance.random() < 0.5)
        if path is None or path.name in {"", *UNITS}:
            return set()
        path.chmod(self.chance.choice([0o700, 0o750]))
        return {self.unit(path)}


@pytest.fixture
def executions(tmp_path):
    for unit in UNITS:
        (tmp_path / "deriva-ml/execution" / unit).mkdir(parents=True)
    return tmp_path / "deriva-ml/execution"


@pytest.fixture
def ears(executions):
    """Hear of all directories, which are followed."""
    ears, prefix = Ears(), executions.parents[1]
    watcher = Watcher(ears.hint, lambda *trouble: pytest.fail(str(trouble)))
    watcher.watch(prefix, (Folder(executions),), "native")
    for unit in UNITS:
        watcher.follow(prefix, unit, executions / unit)
    yield ears
    watcher.stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_change_is_followed_by_a_hint(executions, ears, seed):
    chance = random.Random(seed)
    disk, done = Disk(executions, chance), []
    for _ in range(CHANGES):
        ears.forget()
        way = chance.choice(disk.ways())
        concerned = way()
        done.append((way.__name__, concerned))
        assert not ears.hear(concerned), f"no hint after the last of {done}"


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_rush_of_changes_every_folder_is_watched(executions, ears, seed):
    """Folders come, move and go while the reader is still at those before."""
    chance = random.Random(seed)
    disk = Disk(executions, chance)
    for _ in range(CHANGES):
        chance.choice(disk.ways())()
    for unit in UNITS:  # once the last change has its hint, all before it are taken
        ears.forget()
        (executions / unit / "last").symlink_to("x")
        assert not ears.hear({unit})

    for base, _, _ in list(os.walk(executions)):
        if base != str(executions):
            ears.forget()
            Path(base, "late").symlink_to("x")  # one event, not another one later
            assert not ears.hear({disk.unit(Path(base))}), f"no hint of a file in {base}"
