"""Starts `deriva-watch` in processes that end themselves by SIGKILL at one of their calls.

Each line of the standard input is an order. It is answered with the number of a process and, when
that has ended, with its exit status:

    {"diary": FILE, "moment": "before PUT chunk 1", "log": FILE, "arguments": ["run", …]}

Every request, commit of the journal and file that is replaced goes into the diary, a line before it
and a line after. The moment is such a line: the second call of its name, counted from zero; or
"amid", when half of the body of a request has left. With "never" the process lives on; with null it
is not even watched.

All that is imported is imported here, once: it takes a second and a half, the rest of a start a
fifth of one.
"""

import json
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import alembic.command
import alembic.config  # noqa: F401
import deriva.core  # noqa: F401

import deriva_watch.daemon.process  # noqa: F401
from deriva_watch.cli import main
from deriva_watch.edges.disk import own_files
from deriva_watch.edges.journal.database import sqlite
from deriva_watch.edges.server import adapter, wire

# What a request is called: the first that fits its "METHOD path".
NAMES = (
    (r"PUT \S+;upload/[^/]+/\d+", "PUT chunk"),
    (r"(\w+) \S+;upload/[^/]+", r"\1 job"),
    (r"(\w+) \S+;upload", r"\1 jobs"),
    (r"(\w+) /hatrac(?:/[^/]+)?", r"\1 namespace"),
    (r"(\w+) /hatrac/\S+", r"\1 object"),
    (r"(\w+) /ermrest/catalog/\d+/(?:entity|attribute|attributegroup)/([^/]+).*", r"\1 \2"),
    (r"(\w+) /ermrest/catalog/\d+/(\w+).*", r"\1 \2"),
    (r"(\w+) /authn/(\w+)", r"\1 \2"),
)


class Diary:
    """Counts calls, writes them down, and ends the process at the moment that was asked for."""

    def __init__(self, path, moment):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._moment, self._lock, self._counts = moment, threading.Lock(), Counter()

    @property
    def names(self):
        """What was called so far."""
        return self._counts.keys()

    def through(self, name, call):
        """Make a call, which is told whether it is never to come to its end."""
        with self._lock:
            number, self._counts[name] = self._counts[name], self._counts[name] + 1
            self._pass(f"before {name} {number}")
        result = call(f"amid {name} {number}" == self._moment)
        with self._lock:
            self._pass(f"after {name} {number}")
        return result

    def _pass(self, line):
        os.write(self._file, f"{line}\n".encode())
        if line == self._moment:
            end()


class Half:
    """A body that ends the process when half of it was read."""

    def __init__(self, body):
        content = body if isinstance(body, bytes) else body.read(len(body))
        self._parts = [content[: len(content) // 2]]

    def read(self, _size):
        """Return what is left."""
        return self._parts.pop() if self._parts else end()


def end():
    """End as by a power cut: nothing is put down."""
    os.kill(os.getpid(), signal.SIGKILL)


def named(method, url):
    """Return what a request is called."""
    said = f"{method} {urlsplit(url).path}"
    for pattern, name in NAMES:
        if found := re.fullmatch(pattern, said):
            return found.expand(name)
    return said


def is_uploaded(journal):
    """Tell whether the transaction that is under way leaves nothing to do."""
    try:
        found = journal.execute("SELECT state FROM execution").fetchall()
    except sqlite3.OperationalError:  # no tables yet
        return False
    return found == [("uploaded",)]


def watch(diary):
    """Let *diary* see every call."""
    send, replace = adapter.Adapter.send, own_files.replace
    send_by_wire = wire.Wire.call

    def sent(connections, request, *args, **options):
        def call(is_last):
            if is_last:
                request.body = Half(request.body)
            return send(connections, request, *args, **options)

        return diary.through(named(request.method, request.url), call)

    def sent_by_wire(connections, method, path, headers, body=None, *timeout_s):
        def call(is_last):
            left = Half(body) if is_last else body
            return send_by_wire(connections, method, path, headers, left, *timeout_s)

        return diary.through(named(method, path), call)

    class Connection(sqlite._Connection):
        """Commits of transactions that changed nothing, as of an idle daemon, do not count.

        What comes together is one commit: how many there are is chance. So the one that makes the
        execution uploaded has a name of its own.
        """

        changes = 0

        def commit(self):
            commit = super().commit
            if self.total_changes == self.changes:
                commit()
            else:
                self.changes = self.total_changes
                known = "uploaded" in diary.names
                name = "uploaded" if not known and is_uploaded(self) else "commit"
                diary.through(name, lambda _: commit())

    def replaced(folder, name, *args, **options):
        said = name
        if Path(f"/proc/self/fd/{folder}").readlink().parent.name == "receipts":
            said = "kept rows" if name.endswith(".jsonl") else "kept receipt"
        return diary.through(f"write {said}", lambda _: replace(folder, name, *args, **options))

    adapter.Adapter.send = sent
    wire.Wire.call = sent_by_wire
    sqlite._Connection = Connection
    own_files.replace = replaced


def live(diary, moment, log, arguments):
    """Be `deriva-watch` with *arguments*, to the end of the process."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(stream, standard)
    os.close(0)
    if moment is not None:
        watch(Diary(diary, moment))
    sys.argv = ["deriva-watch", *arguments]
    main()


if __name__ == "__main__":
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                live(**json.loads(line))
            finally:
                os._exit(1)
        print(pid, flush=True)  # noqa: T201  # the answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
