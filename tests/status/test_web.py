"""The server of the status page, asked over real HTTP."""

import http.client
import json
import os
import re
import socket
import stat
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deriva_watch.core.day import Sample, step_of
from deriva_watch.core.errors import TransientError
from deriva_watch.core.records import AddFile, MoveExecution, MoveFile
from deriva_watch.core.states import ExecutionTrigger, FileTrigger
from deriva_watch.edges.hindrances import Hindrances
from deriva_watch.edges.journal import Journal
from deriva_watch.settings import Status
from deriva_watch.status import serving as serving_module
from deriva_watch.status import stream as stream_module
from deriva_watch.status import web
from deriva_watch.status.day import Day
from deriva_watch.status.meter import Meter
from deriva_watch.status.serving import serving
from running import wait_until

ROOT = Path(__file__).parents[2]
LOCAL = "127.0.0.1:0"


@pytest.fixture
def journal(tmp_path):
    with Journal.open(f"sqlite:///{tmp_path}/journal.db", emit=lambda _: None) as journal:
        yield journal


@pytest.fixture
def hurried(monkeypatch):
    """Look again sooner than a person would want to."""
    monkeypatch.setattr(web, "FRESH_S", 0.0)
    monkeypatch.setattr(stream_module, "EVERY_S", 0.2)


@contextmanager
def served(journal, at=LOCAL, hosts=()):
    """Serve *journal*; yield where, what was reported, and what is in the way."""
    here = SimpleNamespace(events=[], meter=Meter(), url="")
    here.hindrances = Hindrances(journal.path.parent)

    def names():
        return [event.name for event in here.events]

    where = Status(listen=at, hosts=hosts)
    with serving(where, journal, here.meter, here.events.append, here.hindrances.put):
        if at == LOCAL:
            wait_until(lambda: "status.listening" in names())
            here.url = next(e.url for e in here.events if e.name == "status.listening")
            here.port = urlsplit(here.url).port
        here.names = names
        yield here


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a journal without executions, for all tests that change nothing."""
    url = f"sqlite:///{tmp_path_factory.mktemp('state')}/journal.db"
    with (
        Journal.open(url, emit=lambda _: None) as journal,
        served(journal, hosts=["status.example.org"]) as here,
    ):
        yield here


def connection(here):
    """Return a connection to the page, not yet opened."""
    return http.client.HTTPConnection("127.0.0.1", here.port, timeout=10)


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
    new = journal.open_execution("example.org/1", "/data", rid)
    journal.commit([MoveExecution(new.id, ExecutionTrigger.SETTLED, {})])
    return journal.claim().id


# ---------------------------------------------------------------------- what it answers


def test_the_page_and_its_files_are_served_with_their_types(page):
    pages = {path: ask(page, path) for path in ("/", "/page.css", "/page.js")}

    assert [page.status for page in pages.values()] == [200, 200, 200]
    kinds = [page.headers["Content-Type"].partition(";")[0] for page in pages.values()]
    assert kinds == ["text/html", "text/css", "text/javascript"]


def test_the_overview_is_what_status_says(journal):
    claimed(journal)

    with served(journal) as here:
        found = said(ask(here, "/api/overview"))

    assert found["daemon"] == os.getpid()
    assert found["server"] == "example.org/1"
    assert found["executions"]["uploading"] == 1


def test_an_execution_is_what_show_says_and_a_hostile_name_is_harmless(journal):
    number = claimed(journal)
    journal.commit([AddFile(number, "<script>\x1b[31m\n\udcff.tif", {})])

    with served(journal) as here:
        answer = ask(here, "/api/execution?rid=1-AA")

    (execution,) = said(answer)["executions"]
    assert execution["files"][0]["path"] == "<script>\x1b[31m\n\\udcff.tif"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_execution_of_too_many_files_for_a_browser_is_left_to_the_command_line(
    journal, monkeypatch
):
    monkeypatch.setattr(web, "SHOWN_FILES", 2)
    number = claimed(journal)
    journal.commit([AddFile(number, name, {}) for name in "abc"])

    with served(journal) as here:
        answer = ask(here, "/api/execution?rid=1-AA")

    assert (answer.status, said(answer)["next"]) == (403, "`deriva-watch show 1-AA` tells of all.")
    assert said(answer)["why"].startswith("it has 3 files")


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/api/execution?rid=" + quote("<b>"), 404, "has no such execution"),
        ("/api/execution", 400, "no rid is given"),
        ("/etc/passwd", 404, "there is nothing of that name"),
        ("/../web.py", 404, "there is nothing of that name"),
        ("/page/index.html", 404, "there is nothing of that name"),
    ],
)
def test_what_is_not_there_is_said_in_three_parts(page, path, status, why):
    answer = ask(page, path)

    assert answer.status == status
    assert said(answer).keys() == {"what", "why", "next"}
    assert why in said(answer)["why"]


# ---------------------------------------------------------------------- who may ask


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_changed(page, method):
    answer = ask(page, "/api/overview", method)

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9464", 200),
        ("127.0.0.1:8080", 200),  # the end of a tunnel
        ("[::1]:9464", 200),
        ("Status.Example.org", 200),
        ("evil.example.org", 421),
        ("evil.example.org:9464", 421),
        ("127.0.0.1.evil.example.org", 421),
        ("localhost@evil.example.org", 421),
        ("", 421),
    ],
)
def test_requests_for_other_hosts_are_refused(page, host, status):
    assert ask(page, "/healthz", Host=host).status == status


def test_a_request_without_a_host_or_with_two_is_refused(page):
    requests = [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n"]
    for request in requests:
        with socket.create_connection(("127.0.0.1", page.port), timeout=5) as client:
            client.sendall(request)
            assert client.recv(4096).split()[1] in {b"421", b"400"}


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/overview", "/nowhere"])
def test_a_browser_is_told_to_load_nothing_from_elsewhere_and_to_keep_nothing(page, path):
    told = ask(page, path).headers

    policy = dict(part.strip().split(" ", 1) for part in told["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "connect")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert told["Cache-Control"] == "no-store"
    assert told["Referrer-Policy"] == "no-referrer"
    assert told["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Server" not in told


def test_head_is_answered_without_a_body(page):
    answers = [ask(page, path, "HEAD") for path in ("/", "/healthz", "/stream")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"")] * 3


# ---------------------------------------------------------------------- health


@pytest.mark.usefixtures("hurried")
def test_health_is_one_verdict_with_reasons(journal):
    trouble = TransientError("cannot reach example.org", "it is away")
    with served(journal) as here:
        healthy = ask(here, "/healthz")
        here.hindrances.put("the server", trouble)
        away = ask(here, "/healthz")

    assert (healthy.status, said(healthy)) == (200, {"healthy": True, "reasons": []})
    assert away.status == 503
    reason = {"about": "the server", "what": trouble.what, "why": trouble.why, "next": trouble.next}
    assert said(away) == {"healthy": False, "reasons": [reason]}


def test_what_a_person_must_do_is_a_reason_too(journal):
    number = claimed(journal)
    journal.commit([MoveExecution(number, ExecutionTrigger.REJECTED, {"why": "403"})])

    with served(journal) as here:
        answer = ask(here, "/healthz")

    (reason,) = said(answer)["reasons"]
    assert (answer.status, reason["what"]) == (503, "Refused executions: 1")
    assert reason["why"] == "A person must act"


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


def test_health_is_told_in_time_though_the_journal_hangs(journal):
    hanging = Hanging(journal)
    paths = ["/healthz", "/healthz", "/api/overview", "/metrics", "/"]
    with served(hanging) as here, ThreadPoolExecutor(len(paths)) as askers:
        began_s = time.monotonic()
        asked = [askers.submit(ask, here, path) for path in paths]
        health, again, overview, metrics, page = [each.result() for each in asked]
        took_s = time.monotonic() - began_s
        hanging.answer.set()

    assert took_s < 2.0
    assert [each.status for each in (health, again, overview, page)] == [503, 503, 503, 200]
    (reason,) = said(health)["reasons"]
    assert (reason["about"], reason["what"]) == ("the journal", "cannot read the journal")
    assert said(overview)["what"] == "cannot read the journal"
    assert b"deriva_watch_journal_readable 0.0" in metrics.body
    assert hanging.asked == 1  # nobody sends a second thread after the first


# ---------------------------------------------------------------------- metrics, the last day


def families(answer):
    """Return the samples of an answer by name: {labels: value}, each."""
    found = defaultdict(dict)
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_metrics_tell_how_things_stand(journal):
    number = claimed(journal)
    facts = {"size_bytes": 700}
    names = journal.commit([AddFile(number, name, facts) for name in "abc"])
    journal.commit([MoveFile(names[0], FileTrigger.UNMATCHED)])

    with served(journal) as here:
        here.meter.remaining_s = lambda: 60.0
        answer = ask(here, "/metrics")
        found = families(answer)

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert found["deriva_watch_executions"][("state", "uploading"),] == 1
    assert found["deriva_watch_files"][("state", "unmatched"),] == 1
    assert found["deriva_watch_backlog_files"] == {(): 2}
    assert found["deriva_watch_backlog_bytes"] == {(): 1400}
    assert found["deriva_watch_healthy"] == {(): 1}
    assert found["deriva_watch_oldest_pending_seconds"][()] > 0
    assert found["deriva_watch_journal_size_bytes"][()] > 10_000
    assert found["deriva_watch_state_free_bytes"][()] > 0
    assert found["deriva_watch_build_info"][("version", version("deriva-watch")),] == 1
    assert found["process_resident_memory_bytes"][()] > 1_000_000


def test_the_readme_has_a_row_on_every_metric(page):
    table = (ROOT / "README.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `(deriva_watch_\w+)", table, re.MULTILINE)

    assert sorted(named) == sorted(names_of(ask(page, "/metrics")))


def names_of(answer):
    """Return the metrics of ours that an answer has, as queries call them."""
    return [
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(answer.body.decode())
        if family.name.startswith("deriva_watch")
    ]


def test_metrics_are_named_as_prometheus_advises(page):
    for family in text_string_to_metric_families(ask(page, "/metrics").body.decode()):
        assert family.documentation, family.name
        assert re.fullmatch(r"[a-z][a-z0-9_]+", family.name)
        assert not re.search(r"_(ms|kb|mb|minutes|hours|count|sum|created)$", family.name)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {"state", "event", "of", "le", "version"}, family.name


def test_each_alert_is_about_a_metric_that_is_exported(page):
    rules = ask(page, "/alerts.yml").body.decode()
    expressions = re.findall(r"^ +expr: (.*)$", rules, re.MULTILINE)
    exported = names_of(ask(page, "/metrics"))
    exported += [f"{name}_count" for name in exported if name.endswith("_seconds")]
    asked = {name for each in expressions for name in re.findall(r"deriva_watch_\w+", each)}

    assert len(expressions) == rules.count("- alert: ") > 10
    assert asked <= {*exported, "deriva_watch_credential_remaining_seconds"}
    for each in expressions:
        bare = re.sub(r'\{state="[a-z]+"\}|\{job="[a-z-]+"\}', "", each)
        comparison = r"(increase\(\w+\[\d+[mh]\]\)|\w+) (==|>|<) [0-9.e]+"
        assert re.fullmatch(rf"{comparison}( or {comparison})*", bare), each


def test_the_last_day_has_what_was_kept_and_what_goes_on(journal):
    now = datetime.now(UTC)
    kept = [
        Sample(step_of(now - timedelta(hours=30)), 1, 0, 0),
        Sample(step_of(now - timedelta(hours=2)), 500, 7, 70),
        Sample(step_of(now - timedelta(hours=2)), 10, 6, 60),  # of the same step: added up
    ]
    for sample in kept:
        journal.keep_sample(sample)
    journal.commit([AddFile(claimed(journal), "a", {"size_bytes": 9})])

    with served(journal) as here:
        here.meter.moved("a", "send", 1000)
        here.meter.moved("a", "hash", 5000)
        found = said(ask(here, "/api/day"))
    with served(journal) as here:  # the next daemon
        here.meter.moved("a", "send", 24)
        later = said(ask(here, "/api/day"))

    assert found["step_s"] == 600
    values = [{name: p[name] for name in p if name != "at"} for p in found["points"]]
    assert values == [
        {"sent_bytes": 510, "backlog_files": 6, "backlog_bytes": 60},
        {"sent_bytes": 1000, "backlog_files": 1, "backlog_bytes": 9},
    ]
    assert [datetime.fromisoformat(p["at"]) for p in found["points"]] == sorted(
        step_of(now - timedelta(hours=hours)) for hours in (0, 2)
    )
    assert sum(p["sent_bytes"] for p in later["points"]) == 510 + 1000 + 24


def test_a_step_is_kept_when_it_ends_and_old_ones_are_forgotten(journal):
    clock = SimpleNamespace(now=datetime(2026, 3, 1, 12, 4, tzinfo=UTC), sent=100)
    day = Day(journal, lambda: clock.sent, lambda: clock.now)
    assert day.left_s() == 6 * 60
    clock.now = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
    assert day.left_s() == 10 * 60  # also where the last step could not be kept

    clock.sent, clock.now = 400, datetime(2026, 3, 1, 12, 10, 1, tzinfo=UTC)
    day.keep()
    clock.sent, clock.now = 450, clock.now + timedelta(days=2, minutes=10)
    day.keep()
    beginning = datetime(2026, 1, 1, tzinfo=UTC)
    first = journal.samples(beginning)
    day.keep()

    assert [(each.at.minute, each.sent_bytes) for each in first] == [(0, 300), (10, 50)]
    assert [each.sent_bytes for each in journal.samples(beginning)] == [0]


# ---------------------------------------------------------------------- the stream


@pytest.mark.usefixtures("hurried")
def test_a_stream_tells_what_stands_and_then_each_change(journal):
    with served(journal) as here, looking_on(here) as stream:
        name, first = next_event(stream)
        number = claimed(journal)
        name_again, second = next_event(stream)
        journal.commit(
            [MoveFile(*journal.commit([AddFile(number, "a", {})]), FileTrigger.UNMATCHED)]
        )
        third = next_event(stream)[1]

    assert name == name_again == "overview"
    assert (first["executions"]["uploading"], second["executions"]["uploading"]) == (0, 1)
    assert third["files"]["unmatched"] == 1


class Counting:
    """A journal that counts how often it is looked at."""

    def __init__(self, journal):
        self.journal, self.looks = journal, 0

    def __getattr__(self, name):
        self.looks += name == "execution_counts"
        return getattr(self.journal, name)


@pytest.mark.usefixtures("hurried")
def test_many_who_look_on_cost_one_look_at_a_time_and_nobody_costs_none(journal):
    counting = Counting(journal)
    with served(counting) as here, ExitStack() as streams:
        for stream in [streams.enter_context(looking_on(here)) for _ in range(5)]:
            next_event(stream)
        before = counting.looks
        time.sleep(0.5)
        while_looked_on = counting.looks - before
        streams.close()
        time.sleep(0.5)
        before = counting.looks
        time.sleep(0.5)
        while_alone = counting.looks - before

    assert 1 <= while_looked_on <= 3
    assert while_alone == 0


def test_a_stream_says_when_the_journal_cannot_be_read(journal):
    hanging = Hanging(journal)
    hanging.answer.set()
    with served(hanging) as here, looking_on(here) as stream:
        name, trouble = next_event(stream)

    assert (name, trouble["what"], trouble["why"]) == ("trouble", "cannot read it", "it hung")


def test_no_more_look_on_than_may_and_a_silent_stream_stays_open(journal, monkeypatch):
    monkeypatch.setattr(stream_module, "MOST", 1)
    monkeypatch.setattr(stream_module, "KEEP_ALIVE_S", 0.1)
    with served(journal) as here, looking_on(here) as stream:
        while stream.readline() != b": still here\n":
            pass
        refused = ask(here, "/stream")

    assert (refused.status, said(refused)["why"]) == (503, "too many look on")


def test_the_end_does_not_wait_for_who_looks_on_or_reads_nothing(journal):
    before = set(threading.enumerate())
    with served(journal) as here:
        silent = socket.create_connection(("127.0.0.1", here.port))
        silent.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with looking_on(here) as stream:
            next_event(stream)
            began_s = time.monotonic()
    took_s = time.monotonic() - began_s
    silent.close()

    assert took_s < 2.0
    assert "status page" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_who_connects_and_asks_nothing_holds_no_place_for_long(journal, monkeypatch):
    monkeypatch.setattr(serving_module, "_SILENT_S", 0.2)
    monkeypatch.setattr(serving_module, "_CONNECTIONS", 2)
    with served(journal) as here:
        silent = [socket.create_connection(("127.0.0.1", here.port)) for _ in range(3)]
        full = wait_until(lambda: ask(here, "/healthz").status)
        for client in silent:
            client.settimeout(5)
            assert client.recv(1) == b""  # the server has closed it
            client.close()
        assert (full, ask(here, "/healthz").status) == (503, 200)


def test_a_bug_in_one_answer_is_told_and_ends_no_other(journal):
    class Broken(Counting):
        """A journal that our code cannot read."""

        def __getattr__(self, name):
            if name == "execution_counts":
                raise ValueError("secret")
            return super().__getattr__(name)

    with served(Broken(journal)) as here:
        answer = ask(here, "/api/overview")
        assert ask(here, "/").status == 200

    assert (answer.status, said(answer)["why"]) == (500, "a bug of ours")
    (crash,) = [event for event in here.events if event.name == "daemon.crashed"]
    assert (crash.where, crash.why) == ("the answer to /api/overview", "ValueError('secret')")


# ---------------------------------------------------------------------- where it listens


def test_a_port_that_is_taken_is_told_and_taken_once_it_is_free(journal, monkeypatch):
    monkeypatch.setattr(serving_module, "AGAIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with served(journal, f"127.0.0.1:{port}") as here:
            wait_until(lambda: here.hindrances._known)
            (known,) = here.hindrances._known.values()
            other.close()
            wait_until(lambda: "status.listening" in here.names())
            here.port = port

            assert ask(here, "/healthz").status == 200
            assert here.hindrances._known == {}
    assert known["what"] == f"cannot serve the status page at 127.0.0.1:{port}"
    assert known["why"] == "Address already in use"


def at_socket(path, request=b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(request)
        return client.recv(4096)


def test_a_unix_socket_is_for_owner_and_group_and_goes_with_the_daemon(journal, tmp_path):
    path = tmp_path / "status.sock"
    with socket.socket(socket.AF_UNIX) as dead:  # of a daemon that was killed
        dead.bind(str(path))

    with served(journal, f"unix:{path}") as here:
        wait_until(lambda: "status.listening" in here.names())
        mode = stat.S_IMODE(path.stat().st_mode)
        answer = at_socket(path)

    assert mode == 0o660
    assert b" 200 " in answer.partition(b"\r\n")[0]
    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
def test_what_lies_at_the_place_of_a_unix_socket_and_is_not_ours_stays(journal, tmp_path, kind):
    path, target = tmp_path / "status.sock", tmp_path / "precious"
    target.write_text("precious")
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "file":
            path.write_text("precious")
        elif kind == "link":
            path.symlink_to(target)
        else:
            other.bind(str(path))
            other.listen()
        before = path.lstat()
        with served(journal, f"unix:{path}") as here:
            wait_until(lambda: here.hindrances._known)

        assert path.lstat().st_ino == before.st_ino
    assert target.read_text() == "precious"
