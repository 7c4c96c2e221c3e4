"""Builds the daemon from the parts of one catalog's uploads."""

import threading
from collections.abc import Callable
from functools import partial

from deriva_watch.cleanup.retention import Retention
from deriva_watch.cleanup.scheduler import Scheduler
from deriva_watch.cleanup.unit_cleaner import UnitCleaner
from deriva_watch.daemon.looking import UnitLooks
from deriva_watch.daemon.reload import Reload
from deriva_watch.daemon.reverification import Reverification
from deriva_watch.daemon.server_tasks import ServerTasks
from deriva_watch.daemon.service import Service
from deriva_watch.daemon.supervisor import Supervisor
from deriva_watch.daemon.workers import Workers
from deriva_watch.edges.host.problems import Problems
from deriva_watch.edges.host.spool import Orders
from deriva_watch.pipeline.build import Parts
from deriva_watch.pipeline.journal_guard import JournalGuard
from deriva_watch.pipeline.session import LoginSession
from deriva_watch.watch.inspector import Inspector
from deriva_watch.watch.look_queue import LookQueue
from deriva_watch.watch.prehash import Prehash
from deriva_watch.watch.reread import Rereader
from deriva_watch.watch.roots import Roots


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
    looks, guard = LookQueue(), JournalGuard(problems, stop)
    orders = Orders(settings.state_directory / "orders")
    prehash = Prehash(journal, emit) if settings.transfer.hash_ahead else None
    rereader = Rereader(journal, parts.unit_reader, looks.hint, emit)
    inspector = Inspector.of(parts, settings.completion_policy, prehash, rereader)
    roots = Roots(settings, journal, inspector, looks, problems, emit)
    cleaner = UnitCleaner.of(parts, stop, looks.hint)
    retention = Retention(cleaner, parts.server_time, parts.settings.reclaim.read_back)
    removal = Scheduler(cleaner, retention, orders, settings, settings.drops)
    workers = Workers(settings, journal, parts.attempts, holds, emit, breaker, stop, looks, guard)
    reverification = Reverification.of(parts, stop)
    restarts: dict[str, Callable[[], None]] = {
        "removal": partial(removal.start, guard.run),
        "verification": partial(reverification.start, guard.run),
        "inotify": lambda: None,  # the watcher replaces these two: it checks them every tick
        "hints": lambda: None,
        "rereader": rereader.start,
    }
    if prehash:
        restarts["hasher"] = partial(prehash.start, guard.run)
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
        server=ServerTasks(breaker, session, journal, parts.fingerprint, parts.attempts, problems),
        looks=looks,
        roots=roots,
        unit_looks=UnitLooks(roots, looks, cleaner.locks, breaker, problems, emit),
        prehash=prehash,
        rereader=rereader,
        removal=removal,
        reverification=reverification,
        workers=workers,
        supervisor=Supervisor(problems, emit, restarts, guard, stop),
    )
