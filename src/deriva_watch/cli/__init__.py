"""The command line: one file a command; the only place where errors become prose and exit codes."""

from deriva_watch.cli import (
    check,
    demo,
    events,
    history,
    init,
    plan,
    reclaim,
    retry,
    run,
    sandbox,
    show,
    spec,
    status,
    upload,
    verify,
)
from deriva_watch.cli.app import app, main

__all__ = [
    "app",
    "check",
    "demo",
    "events",
    "history",
    "init",
    "main",
    "plan",
    "reclaim",
    "retry",
    "run",
    "sandbox",
    "show",
    "spec",
    "status",
    "upload",
    "verify",
]
