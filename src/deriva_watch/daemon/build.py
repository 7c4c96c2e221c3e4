"""Builds the daemon from the parts of one catalog's uploads."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.core.events import ClockSet, Emit
from deriva_watch.daemon.hangs import Hangs
from deriva_watch.daemon.lanes import Lanes
from deriva_watch.daemon.looking import UnitLooks
from deriva_watch.daemon.reload import Reload
from deriva_watch.daemon.reverification import Reverification
from deriva_watch.daemon.root_lane import ClockCheck, RootLane
from deriva_watch.daemon.server_tasks import ServerLane, ServerTasks
from deriva_watch.daemon.service import Service
from deriva_watch.daemon.supervisor import Supervisor
from deriva_watch.daemon.workers import Workers
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.host.spool import Orders
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.pipeline.session import LoginSession
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.look_queue import LookQueue, Looks
from deriva_watch.watch.prehash import Prehash
from deriva_watch.watch.questions import called
from deriva_watch.watch.reread import Rereader
from deriva_watch.watch.root import Root
from deriva_watch.watch.roots import Roots, Watches

_MAY_HANG: Final = ("removal", "rereader", "hasher")  # threads that ask the file systems of roots


def build_service(
    parts: Parts,
    session: LoginSession,
    problems: Problems,
    reload: Reload,
    stop: threading.Event,
) -> Service:
    """Return the daemon, complete; nothing of it runs yet."""
    settings, journal, holds, emit = parts.settings, parts.journal, parts.holds, parts.emit
    breaker = parts.breaker
    wake, guard = threading.Event(), JournalGuard(problems, stop)
    looks = Looks(wake.set)
    replace: dict[str, Callable[[], None]] = {}
    hangs = Hangs(called(settings.server.host), problems, emit, replace)
    orders = Orders(settings.state_directory / "orders")
    prehash = Prehash(journal, emit, hangs_at=hangs.is_at) if settings.transfer.hash_ahead else None
    rereader = Rereader(journal, parts.unit_reader, looks.hint, emit, hangs.is_at)
    inspector = Inspector.of(parts, settings.completion_policy, prehash, rereader)
    cleaner = UnitCleaner.of(parts, stop, looks.hint, hangs.is_at)
    retention = Retention(cleaner, parts.server_time, parts.settings.reclaim.read_back)
    removal = Scheduler(cleaner, retention, orders, settings, settings.drops)
    workers = Workers(
        settings, journal, parts.attempts, holds, emit, breaker, stop, looks, guard, hangs
    )
    reverification = Reverification.of(parts, stop)
    lanes = Lanes(guard, emit, stop, wake.set)
    clock = ClockCheck(lambda step_s: _forget_times(step_s, emit, roots))

    def add_lane(about: str, root: Root | None, queue: LookQueue) -> None:
        unit_looks = UnitLooks(roots, queue, cleaner.locks, breaker, problems, emit)
        recover = partial(removal.recover, root.prefix if root else None)
        lanes.add(RootLane(about, root, queue, unit_looks, clock, stop, workers.wake, recover))

    def add_root(root: Root) -> None:
        add_lane(str(root.prefix), root, root.looks)

    roots = Roots(settings, journal, inspector, looks, problems, emit, add_root)
    tasks = ServerTasks(breaker, session, journal, parts.fingerprint, parts.attempts, problems)
    lanes.add(
        ServerLane(
            hangs.server, tasks, roots.scan_all, lambda record: looks.soon(settings.unit_of(record))
        )
    )
    lanes.add(Watches(roots, emit))
    add_lane("folders that are not watched", None, looks.elsewhere)
    for pattern in roots.add_named():
        lanes.add(pattern)
    restarts = _restarts(removal, reverification, rereader, prehash, guard)
    replace.update({name: restarts[name] for name in _MAY_HANG if name in restarts})
    restarts |= {name: partial(workers.start_one, name) for name in workers.names}
    return Service(
        settings=settings,
        journal=journal,
        holds=holds,
        emit=emit,
        stop=stop,
        problems=problems,
        guard=guard,
        orders=orders,
        reload=reload,
        breaker=breaker,
        lanes=lanes,
        hangs=hangs,
        clock=clock,
        looks=looks,
        roots=roots,
        wake=wake,
        prehash=prehash,
        rereader=rereader,
        removal=removal,
        reverification=reverification,
        workers=workers,
        supervisor=Supervisor(problems, emit, restarts, guard, stop),
    )


def _restarts(
    removal: Scheduler,
    reverification: Reverification,
    rereader: Rereader,
    prehash: Prehash | None,
    guard: JournalGuard,
) -> dict[str, Callable[[], None]]:
    """Return the functions that start a replacement for a thread, by the name of the thread."""
    restarts: dict[str, Callable[[], None]] = {
        "removal": partial(removal.start, guard.run),
        "verification": partial(reverification.start, guard.run),
        "inotify": lambda: None,  # the watcher replaces these two: it checks them every tick
        "hints": lambda: None,
        "rereader": rereader.start,
    }
    if prehash:
        restarts["hasher"] = partial(prehash.start, guard.run)
    return restarts


def _forget_times(step_s: float, emit: Emit, roots: Roots) -> None:
    """Look at everything again: the clock was set, so earlier times mean nothing."""
    emit(ClockSet(seconds=step_s))
    roots.forget_all()
