"""The metrics that are read from the journal and the disk when Prometheus asks."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from deriva_watch.edges.journal import Journal
from deriva_watch.liveness import standstills
from deriva_watch.status.sections import backlog
from deriva_watch.status.web.meter import PREFIX

_PARTS: Final = ("", "-wal", "-shm")  # of a database


class Place(NamedTuple):
    """The backlog, the size of the journal and the free space of its disk."""

    backlog_files: int
    backlog_bytes: int
    journal_bytes: int
    free_bytes: int


def look_at(journal: Journal) -> Place:
    """Read them from the journal and its disk."""
    waiting = backlog(journal.totals())
    parts = [journal.path.with_name(journal.path.name + part) for part in _PARTS]
    size_bytes = sum(part.stat().st_size for part in parts if part.exists())
    free_bytes = shutil.disk_usage(journal.path.parent).free
    return Place(waiting.files, waiting.bytes, size_bytes, free_bytes)


class Gauges(Collector):
    """Yields the values that were `found` last.

    Attributes:
        found: What `summary` and `look_at` returned; None if the journal could not be read.
    """

    found: tuple[Mapping[str, Any], Place] | None = None

    def __init__(self, remaining_s: Callable[[], float | None]) -> None:
        """*remaining_s* returns how long the server session lasts, in seconds; None: unknown."""
        self._remaining_s = remaining_s

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Return no names: finding them would read the journal at the start."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all gauges."""
        built = _gauge("build_info", "The running release", labels=["version"])
        built.add_metric([version("deriva-watch")], 1)
        yield built
        stuck = [each for each in standstills() if not each.ended]
        yield _gauge("threads_stuck", "Threads that make no progress", len(stuck))
        if (left_s := self._remaining_s()) is not None:
            yield _gauge(
                "credential_remaining_seconds", "Time until the server session ends", left_s
            )
        readable = 0 if self.found is None else 1
        yield _gauge("journal_readable", "1 if the journal could be read in time", readable)
        if self.found:
            yield from _of_summary(self.found[0])
            yield from _of_place(self.found[1])


def _of_summary(summary: Mapping[str, Any]) -> Iterator[GaugeMetricFamily]:
    healthy = int(summary["healthy"])
    yield _gauge("healthy", "1 if /healthz answers 200", healthy)
    problems = len(summary["problems"])
    yield _gauge("problems", "Number of things the daemon waits for, such as the server", problems)
    yield _gauge(
        "attention",
        "Number of executions that need attention: refused, with unmatched files, or differing on "
        "the server",
        summary["attention"]["executions"],
    )
    differing = len(summary["differing"]) + summary.get("differing_more", 0)
    meaning = "Number of executions that the server no longer has as they were uploaded"
    yield _gauge("differing", meaning, differing)
    meaning = "Time of the oldest proof that the server has what was uploaded, by kind of proof"
    oldest = _gauge("oldest_proof_timestamp_seconds", meaning, labels=["by"])
    if proof := summary["oldest_proof"]:
        oldest.add_metric([proof["by"]], datetime.fromisoformat(proof["at"]).timestamp())
    yield oldest
    pending_s = summary["oldest_pending_s"]
    yield _gauge(
        "oldest_pending_seconds",
        "Age of the oldest execution that is complete and not uploaded",
        pending_s,
    )
    safe = summary["bytes"]["safe"]
    yield _gauge("safe_bytes", "Bytes of the files that are in the catalog", safe)
    for noun in ("executions", "files"):
        family = _gauge(noun, f"Number of {noun} by state", labels=["state"])
        for state, count in summary[noun].items():
            family.add_metric([state], count)
        yield family


def _of_place(place: Place) -> Iterator[GaugeMetricFamily]:
    files, size_bytes = place.backlog_files, place.backlog_bytes
    yield _gauge("backlog_files", "Files that are not in the catalog yet", files)
    yield _gauge("backlog_bytes", "Bytes of the files that are not in the catalog yet", size_bytes)
    yield _gauge("journal_size_bytes", "Size of the journal on disk", place.journal_bytes)
    yield _gauge(
        "state_free_bytes", "Free space on the disk of the state directory", place.free_bytes
    )


def _gauge(
    name: str, meaning: str, value: float | None = None, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value, labels)
