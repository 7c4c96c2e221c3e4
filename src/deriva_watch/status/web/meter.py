"""The metrics that are counted from events while the daemon runs.

Names and units follow the advice of Prometheus. No label has the name of a file or an execution:
each would be a time series of its own, forever.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from deriva_watch.core.events import (
    CallRetried,
    CatalogUnavailable,
    CredentialNeeded,
    Event,
    ExecutionChanged,
    FileChanged,
    RootScanned,
    ServerRecovered,
    ServerUnavailable,
    TaskCrashed,
    WatchLost,
)
from deriva_watch.core.states import ExecutionState, ExecutionTrigger, FileState

PREFIX: Final = "deriva_watch"

_TRANSFERS_S: Final = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600)
_WAITS_S: Final = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600)
_SCANS_S: Final = (0.001, 0.01, 0.1, 0.5, 1, 5, 15, 60, 300)
_ON_THE_WAY: Final = {ExecutionState.READY, ExecutionState.UPLOADING, ExecutionState.WAITING}

Key = tuple[str, str]  # prefix and name of an execution


class Meter:
    """Counts events and bytes. Thread-safe.

    Attributes:
        registry: The metrics, for Prometheus.
        sent_bytes: Bytes sent by this process.
        remaining_s: Returns how long the server session lasts, in seconds; None: unknown.
    """

    def __init__(self, remaining_s: Callable[[], float | None] = lambda: None) -> None:
        self.remaining_s = remaining_s
        # They would double the number of series.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self._complete_at: dict[Key, datetime] = {}
        self._events = self._counter("events", "Events by name, as in the log", "event")
        self._sent = self._counter(
            "sent_bytes", "Bytes sent to the object store, repetitions included"
        )
        self._hashed = self._counter("hashed_bytes", "Bytes of files that were hashed")
        self._retries = self._counter(
            "retries", "Temporary failures that are retried, by call or execution", "of"
        )
        self._lost = self._counter("watch_lost", "Times that file system events were lost")
        self._crashes = self._counter("crashes", "Unexpected errors (bugs) that ended a task")
        self._of_files = self._histogram(
            "file_upload_seconds",
            "Time to send the bytes of a file to the object store",
            _TRANSFERS_S,
        )
        self._of_executions = self._histogram(
            "execution_upload_seconds", "Duration of successful upload attempts", _WAITS_S
        )
        self._to_catalog = self._histogram(
            "time_to_catalog_seconds",
            "Time from complete to uploaded, all waits included",
            _WAITS_S,
        )
        self._scans = self._histogram("rescan_seconds", "Duration of a rescan of a root", _SCANS_S)
        meaning = "1 if server, catalog and credential can be used"
        self._server = Gauge(f"{PREFIX}_server_up", meaning, registry=self.registry)
        self._server.set(1)

    def know(self, complete_at: Mapping[Key, datetime]) -> None:
        """Take over when the executions became complete that were so before this process."""
        self._complete_at.update(complete_at)

    def tee(self, emit: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return a function that counts an event and passes it to *emit*."""

        def both(event: Event) -> None:
            self.count(event)
            emit(event)

        return both

    def moved(self, _path: str, phase: str, count: int) -> None:
        """Count a block of bytes that was read or sent."""
        if phase == "send" and count > 0:
            self._sent.inc(count)
            with self._lock:
                self.sent_bytes += count

    def count(self, event: Event) -> None:
        """Count an event."""
        self._events.labels(event.name).inc()
        match event:
            case FileChanged():
                self._count_file(event)
            case ExecutionChanged():
                self._count_execution(event)
            case CallRetried():
                self._retries.labels("call").inc()
            case WatchLost():
                self._lost.inc()
            case TaskCrashed():
                self._crashes.inc()
            case RootScanned():
                self._scans.observe(event.seconds)
            case ServerRecovered():
                self._server.set(1)
            case ServerUnavailable() | CredentialNeeded() | CatalogUnavailable():
                self._server.set(0)

    def _count_file(self, event: FileChanged) -> None:
        if event.state is FileState.HASHED:
            self._hashed.inc(event.size_bytes or 0)
        elif event.state is FileState.STORED and event.seconds is not None:
            self._of_files.observe(event.seconds)

    def _count_execution(self, event: ExecutionChanged) -> None:
        key = event.prefix, event.execution
        if event.trigger is ExecutionTrigger.COMPLETED:
            self._complete_at[key] = datetime.now(UTC)
        if event.trigger is ExecutionTrigger.DEFERRED:
            self._retries.labels("execution").inc()
        if event.state in _ON_THE_WAY:
            return
        since = self._complete_at.pop(key, None)
        if event.state is ExecutionState.UPLOADED:
            if event.seconds is not None:
                self._of_executions.observe(event.seconds)
            if since:
                waited_s = (datetime.now(UTC) - since).total_seconds()
                self._to_catalog.observe(max(0.0, waited_s))

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", meaning, buckets=buckets, registry=self.registry)
