"""The status page served over real HTTP, and those who visit it."""

import http.client
import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from deriva_watch.core.changes import MoveExecution
from deriva_watch.core.errors import TransientError
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.host.problems import Problems
from deriva_watch.settings.sections import Status
from deriva_watch.status.web import routes
from deriva_watch.status.web.meter import Meter
from deriva_watch.status.web.serving import serving
from running import wait_until

LOCAL = "127.0.0.1:0"


@contextmanager
def patient(within_s=30.0):
    """Let the page wait for its journal longer than a busy machine takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "WITHIN_S", within_s)
        yield


@contextmanager
def served(journal, at=LOCAL, hosts=(), within_s=30.0, meter=None):
    """Serve *journal*; yield where, what was reported, and what is in the way."""
    here = SimpleNamespace(events=[], meter=meter or Meter(), url="")
    here.problems = Problems(journal.path.parent, here.events.append)

    def names():
        return [event.name for event in here.events]

    where = Status(listen=at, hosts=hosts)
    with (
        patient(within_s),
        serving(where, journal, here.meter, here.events.append, here.problems),
    ):
        if at == LOCAL:
            wait_until(lambda: "status.listening" in names())
            here.url = next(e.url for e in here.events if e.name == "status.listening")
            here.port = urlsplit(here.url).port
        here.names = names
        yield here


def connection(here):
    """Return a connection to the page, not yet opened."""
    return http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)


def ask(here, path, method="GET", **headers):
    """Return the answer to a request: status, headers, body."""
    client = connection(here)
    try:
        client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = client.getresponse()
        return SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())
    finally:
        client.close()


def said(answer):
    """Return the JSON of an answer."""
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body)


@contextmanager
def looking_on(here):
    """Yield the lines of a stream, as they come."""
    client = connection(here)
    client.request("GET", "/stream")
    answer = client.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    try:
        yield answer
    finally:
        answer.close()
        client.close()


def next_event(stream):
    """Return the name of the next event and what it carries."""
    found = {}
    while line := stream.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        found[name] = value
    return found["event"], json.loads(found["data"])


def claimed(journal, rid="1-AA"):
    """Return the number of an execution that a worker has taken."""
    new = journal.open_execution("example.org/1", "/data", rid)
    journal.commit([MoveExecution(new.id, ExecutionTrigger.COMPLETED, {})])
    return journal.claim().id


class Hanging:
    """A journal on a disk that does not answer."""

    def __init__(self, journal):
        self.path, self.asked, self.answer = journal.path, 0, threading.Event()

    def totals(self):
        """Do not answer."""
        self.answer.wait(30)
        raise TransientError("cannot read it", "it hung")

    def execution_counts(self):
        """Do not answer."""
        self.asked += 1
        self.answer.wait(30)
        raise TransientError("cannot read it", "it hung")


class Counting:
    """A journal that counts how often it is looked at."""

    def __init__(self, journal):
        self.journal, self.looks = journal, 0

    def __getattr__(self, name):
        self.looks += name == "execution_counts"
        return getattr(self.journal, name)
