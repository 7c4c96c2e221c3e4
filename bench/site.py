"""Where measurements take place: fresh servers, fresh trees, and programs as processes."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.figures import Figure, Goal
from bench.programs.report import peak_mib
from oracle.lab import write_lab
from oracle.specs import generated
from running import Api, credential, sandbox, write_config

FOLDER = "deriva-ml/execution/1-ABC/asset/lab/Blob"
MB = 1_000_000
POLL_S = 0.01
OURS_IGNORES = [".deriva-upload-state-*"]  # deriva-py leaves it in the tree


@dataclass(frozen=True)
class Sizes:
    """How much there is to do in each row; those of the large rows in full."""

    small_files: int = 2000
    small_bytes: int = 10_000
    chunk_bytes: int = 25 * 1024**2
    share: float = 0.15  # of the small files deriva-py gets so many: it needs minutes, evenly
    cold_mb: int = 200
    times: int = 15
    hung_files: int = 500
    large_mb: int = 2048  # one file; or four of a quarter each
    executions: int = 200
    files: int = 20_000  # in these executions together
    many: int = 100_000  # in one execution; and a tenth and a hundredth of it
    rows: int = 200_000
    behind_mb: int = 100
    killed_mb: int = 1000

    def scaled(self, of_bytes: float, of_counts: float) -> "Sizes":
        """Return the sizes with large files made smaller, and large numbers."""
        scales = dict.fromkeys(("large_mb", "behind_mb", "killed_mb"), of_bytes)
        scales |= dict.fromkeys(("files", "many", "rows"), of_counts)
        sizes = {name: max(1, int(getattr(self, name) * scale)) for name, scale in scales.items()}
        return replace(self, **sizes)


Run = Callable[["Site", Path], Figure]


@dataclass(frozen=True)
class Row:
    """One line of the table: a work, who does it, and what we want to see.

    Attributes:
        name: How to select it.
        title: The work.
        unit: What is counted.
        runs: How each competitor does it, in the order of the table.
        goals: What should come out.
    """

    name: str
    title: str
    unit: str
    runs: Mapping[str, Run]
    goals: tuple[Goal, ...]


@dataclass(frozen=True)
class Ran:
    """What a process said, and what it cost from its start to its end."""

    out: str
    seconds: float
    cpu_s: float
    peak_mib: float


def run_module(name: str, words: Iterable[Any], environment: Mapping[str, str]) -> Ran:
    """Run `python -m NAME WORDS` to its end.

    Raises:
        RuntimeError: It failed.
    """
    line = [sys.executable, "-m", name, *map(str, words)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begun_s = time.monotonic()
        process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=out, stderr=errors)
        ended, largest_mib = 0, 0.0
        while not ended:
            time.sleep(POLL_S)
            largest_mib = max(largest_mib, peak_mib(process.pid))
            # Of this process and those it waited for.
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.monotonic() - begun_s
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}\n{errors.read()}")
        cpu_s = used.ru_utime + used.ru_stime
        return Ran(out.read(), seconds, cpu_s, largest_mib)


@dataclass(frozen=True)
class Site:
    """What every run needs.

    Attributes:
        sizes: How much there is to do.
        source: The folder of another deriva_watch to measure instead of the installed one.
        through: How a daemon is started: by env, as a process of its own; or without.
        launch: Runs a module as a program.
    """

    sizes: Sizes
    source: Path | None = None
    through: tuple[str, ...] = ("env",)
    launch: Callable[[str, Iterable[Any], Mapping[str, str]], Ran] = run_module

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the programs."""
        return os.environ | ({"PYTHONPATH": str(self.source)} if self.source else {})

    def measure(self, program: str, folder: Path, **order: Any) -> Figure:
        """Let a program work by its order, and return what it measured."""
        file = folder / f"{program}.json"
        file.write_text(json.dumps(order, default=str))
        ran = self.launch(f"bench.programs.{program}", [file], self.environment)
        return Figure(**json.loads(ran.out.splitlines()[-1]))


@contextmanager
def lab_server(folder: Path, **more: Any) -> Iterator[dict[str, str]]:
    """Run a sandbox with the catalog of the comparison with deriva-py; yield what it says."""
    folder.mkdir(exist_ok=True)
    with sandbox(folder / "server", **write_lab(folder), **more) as ready:
        yield ready


def write_tree(tree: Path, count: int, size_bytes: int) -> dict[str, int]:
    """Write files that differ from each other; return their names and sizes."""
    folder = tree / FOLDER
    folder.mkdir(parents=True)
    names = [f"{number}.bin" for number in range(count)]
    for name in names:
        block = hashlib.sha256(f"{tree.name}/{name}".encode()).digest()
        with (folder / name).open("wb") as file:
            left = size_bytes
            piece = block * (min(size_bytes, MB) // len(block) + 1)
            while left > 0:
                left -= file.write(piece[: min(left, MB)])
    return dict.fromkeys(names, size_bytes)


def by_ours(
    site: Site, folder: Path, ready: Mapping[str, str], count: int, size_bytes: int, **transfer: Any
) -> Figure:
    """Let our engine upload a tree of so many files."""
    transfer["chunk_bytes"] = site.sizes.chunk_bytes
    config, tree = _our_config(folder, "work", ready, transfer)
    names = write_tree(tree, count, size_bytes)
    warm_config, warm_tree = _our_config(folder, "warm", ready, transfer)
    write_tree(warm_tree, 1, 1)
    figure = site.measure(
        "ours", folder, config=config, tree=tree, warm_config=warm_config, warm_tree=warm_tree
    )
    check_rows(ready, names)
    return figure


def _our_config(
    folder: Path, name: str, ready: Mapping[str, str], transfer: dict[str, Any]
) -> tuple[Path, Path]:
    tree, spec = folder / name / "tree", folder / "spec.json"
    tree.mkdir(parents=True)
    spec.write_text(json.dumps(generated()))
    sections = {"spec": {"source": "file", "file": spec}, "files": {"ignore": OURS_IGNORES}}
    return write_config(folder / name, ready, tree, **sections, transfer=transfer), tree


def by_deriva_py(
    site: Site, folder: Path, ready: Mapping[str, str], count: int, size_bytes: int
) -> Figure:
    """Let deriva-py's GenericUploader upload a tree of so many files."""
    tree, spec = folder / "tree", folder / "spec.json"
    names = write_tree(tree, count, size_bytes)
    spec.write_text(json.dumps(generated()))
    figure = site.measure(
        "deriva_py",
        folder,
        ready=ready,
        tree=tree,
        spec=spec,
        chunk_bytes=site.sizes.chunk_bytes,
    )
    check_rows(ready, names)
    return figure


def by_floor(  # noqa: PLR0913, PLR0917
    site: Site,
    folder: Path,
    ready: Mapping[str, str],
    count: int,
    size_bytes: int,
    connections: int = 4,
) -> Figure:
    """Let a bare client send the same bytes, and all rows at once."""
    tree = folder / "tree"
    names = write_tree(tree, count, size_bytes)
    figure = site.measure(
        "floor",
        folder,
        host=ready["host"],
        token=credential(ready)["bearer-token"],
        rows=f"/ermrest/catalog/{ready['catalog']}/entity/lab:Blob",
        files=[tree / FOLDER / name for name in names],
        connections=connections,
        chunk_bytes=site.sizes.chunk_bytes,
    )
    check_rows(ready, names)
    return figure


def check_rows(ready: Mapping[str, str], names: Mapping[str, int]) -> None:
    """Assert that the catalog has a row for every file, and the store its content."""
    api = Api(ready)
    rows = [row for row in api.rows("lab:Blob") if row["Length"] != 1]
    assert {row["Filename"]: row["Length"] for row in rows} == dict(names)
    assert len(rows) == len(names)
    last = rows[-1]
    assert int(api.head(last["URL"])["Content-Length"]) == last["Length"]
