"""Executions that a daemon brings into the catalog while we watch it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.programs.report import peak_mib
from bench.site import Site
from running import Api, Daemon, daemon, directory, sandbox, write_config, write_files

QUIET_S = 0.5
LONG_S = 3600
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Watched:
    """A daemon before a server of its own.

    Attributes:
        api: The server.
        ready: What it said when it was ready.
        config: The settings of the daemon.
    """

    def __init__(self, site: Site, folder: Path, ready: Mapping[str, str], **sections: Any) -> None:
        self._site, self._prefix = site, folder / "data"
        (self._prefix / "deriva-ml" / "execution").mkdir(parents=True)
        self.api, self.ready = Api(ready), ready
        self.config = write_config(folder / "daemon", ready, self._prefix, **sections)
        self._cpu_s = 0.0

    def write(self, files: int, size_bytes: int) -> tuple[str, float]:
        """Write an execution; return its RID, and when it was complete, in seconds since 1970."""
        rid = self.api.execution()
        names = [f"asset/deriva-ml/Execution_Asset/{number}.bin" for number in range(files)]
        root = write_files(
            directory(self._prefix, rid), {name: _content(rid, name, size_bytes) for name in names}
        )
        return rid, max(path.stat().st_mtime for path in root.rglob("*"))

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        """Run the daemon."""
        with daemon(
            self.config, through=self._site.through, environment=self._site.environment
        ) as running:
            self._cpu_s = cpu_s(running.pid)
            yield running

    def figure(self, running: Daemon, rids: list[str], amount: float, **more: float) -> Figure:
        """Wait until the executions are uploaded; return what it has cost from the first claim on.

        Raises:
            AssertionError: They are not all uploaded, or the catalog does not have all files.
        """
        for rid in rids:
            running.wait_for_state(rid, "uploaded", LONG_S)
        events = running.events()
        begun_s = min(at(each) for each in events if each["event"] == "execution.uploading")
        ended_s = max(at(each) for each in events if each["event"] == "execution.uploaded")
        used_s = cpu_s(running.pid) - self._cpu_s
        peaks_mib = map(peak_mib, processes(running.pid))
        return Figure(amount, ended_s - begun_s, used_s, max(peaks_mib), more)

    def count(self) -> int:
        """Return how many files the catalog has."""
        return len(self.api.rows("deriva-ml:Execution_Asset"))


@contextmanager
def watched(site: Site, folder: Path, **sections: Any) -> Iterator[Watched]:
    """Run a sandbox; yield what watches a daemon before it."""
    with sandbox(folder / "server") as ready:
        yield Watched(site, folder, ready, completion={"quiet_s": QUIET_S}, **sections)


def at(event: Mapping[str, Any]) -> float:
    """Return when an event was reported, in seconds since 1970."""
    return datetime.fromisoformat(event["time"]).timestamp()


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process and all below it have used."""
    return sum(_ticks(each) for each in processes(pid)) / TICKS_PER_S


def _ticks(pid: int) -> int:
    with suppress(OSError):  # it has ended
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))  # its own, and of children that have ended
    return 0


def processes(pid: int) -> Iterator[int]:
    """Yield a process and all below it: the daemon hashes, and may wait, in further processes."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from processes(int(child))


def _content(rid: str, name: str, size_bytes: int) -> bytes:
    word = f"{rid} {name}\n".encode()
    return (word * (size_bytes // len(word) + 1))[:size_bytes] if size_bytes > len(word) else word
