"""`deriva-watch` with short periods, in which one thread hangs or ends while a file is there.

The file's path is in $FALTERING; its content says which thread, and whether it hangs or ends:
"journal hang". Everything else is the daemon as it is.
"""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

from deriva_watch import cli, liveness
from deriva_watch.cleanup import unit_cleaner
from deriva_watch.daemon import build, process, reverification, service, supervisor, workers
from deriva_watch.edges.journal import writer as journal
from deriva_watch.edges.watching import emitter, hints
from deriva_watch.engine.files import files
from deriva_watch.engine.rows import writer
from deriva_watch.status.web import guard, serving
from deriva_watch.watch import prehash

ORDER = Path(os.environ.get("FALTERING", "none"))
SILENT_S = 1.2
STEPS = {  # what a thread does again and again
    "main": (service.Service, "_tick"),
    "uploader-0": (workers.Workers, "_claim"),
    "journal": (journal.Writer, "_write"),
    "catalog-writer": (writer.CatalogWriter, "_work"),
    "transfer_0": (files.Files, "attempt"),
    "hasher": (prehash.Prehash, "_is_wanted"),
    "inotify": (emitter.InotifyEmitter, "_take"),
    "hints": (hints.HintHandler, "on_hint"),
    "removal": (unit_cleaner.UnitCleaner, "must_wait"),
    "verification": (reverification.Reverification, "tend"),
    "status page": (guard.Guard, "_refusal"),
    "supervisor": (supervisor.Supervisor, "_look"),
}


class EndedError(BaseException):
    """Nothing catches it."""


NAMES = {"main": "MainThread"}


def falter(thread):
    """Let a step of *thread* hang or end it, as long as the file says so."""
    kind, name = STEPS[thread]
    step = getattr(kind, name)

    def faltering(self, *args, **options):
        name = threading.current_thread().name
        if name == NAMES.get(thread, thread):
            while order() == f"{thread} hang":
                time.sleep(0.05)
        pool = thread.rpartition("_")[0]  # which of its threads takes a file is chance
        is_meant = name == NAMES.get(thread, thread) or (pool and name.startswith(f"{pool}_"))
        if is_meant and order() == f"{thread} end":
            ORDER.unlink()
            raise EndedError
        return step(self, *args, **options)

    setattr(kind, name, faltering)


def order():
    """Return what the file says."""
    try:
        return ORDER.read_text()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    liveness.SILENT_S, supervisor.LOOK_S, process.LATEST_S = SILENT_S, 0.2, 0.5
    service.STOP_S = service.STATUS_S = serving.LIFE_S = 0.2
    workers.IDLE_S = 0.3  # each of them soon looks for work by itself
    service.AGAIN_S, reverification.PASS_S = 0.5, 0.2
    build.Prehash = partial(prehash.Prehash, stable_s=0.1)
    for each in STEPS:
        falter(each)
    sys.argv[0] = "deriva-watch"
    cli.main()
