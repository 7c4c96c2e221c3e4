"""What the status page answers, and whom."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from deriva_watch.core.changes import AddFile, MoveExecution
from deriva_watch.core.errors import TransientError
from deriva_watch.core.states import ExecutionTrigger
from deriva_watch.edges.host.problems import Scope
from deriva_watch.status.web import queries, routes
from status.visiting import Counting, Hanging, ask, claimed, said, served

WELL = {"healthy": True, "reasons": [], "problems": []}


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
    monkeypatch.setattr(routes, "SHOWN_FILES", 2)
    number = claimed(journal)
    journal.commit([AddFile(number, name, {}) for name in "abc"])

    with served(journal) as here:
        answer = ask(here, "/api/execution?rid=1-AA")

    assert (answer.status, said(answer)["next"]) == (403, "`deriva-watch show 1-AA` shows all.")
    assert said(answer)["why"].startswith("it has 3 files")


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/api/execution?rid=" + quote("<b>"), 404, "has no such execution"),
        ("/api/execution", 400, "no rid is given"),
        ("/api/find", 400, "no name is given"),
        ("/api/find?name=" + "x" * 60_000, 400, "the name has more than 4,096 bytes"),
        ("/api/find?name=" + "%C3%A9" * 2049, 400, "the name has more than 4,096 bytes"),
        ("/etc/passwd", 404, "there is no such page"),
        ("/../routes.py", 404, "there is no such page"),
        ("/page/index.html", 404, "there is no such page"),
    ],
)
def test_what_is_not_there_is_said_in_three_parts(page, path, status, why):
    answer = ask(page, path)

    assert answer.status == status
    assert said(answer).keys() == {"what", "why", "next"}
    assert why in said(answer)["why"]


def test_a_name_as_long_as_a_path_may_be_is_looked_for(page):
    answer = ask(page, "/api/find?name=" + "%25" * 4096)

    assert (answer.status, said(answer)["executions"]) == (200, [])


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
        with socket.create_connection(("127.0.0.1", page.port), timeout=60) as client:
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


@pytest.mark.usefixtures("hurried")
def test_health_is_one_verdict_with_reasons(journal):
    trouble = TransientError("cannot reach example.org", "it is away")
    with served(journal) as here:
        healthy = ask(here, "/healthz")
        here.problems.put("/data", trouble, Scope.FOLDER)
        of_a_folder = ask(here, "/healthz")
        here.problems.put("the server", trouble)
        away = ask(here, "/healthz")

    assert (healthy.status, said(healthy)) == (200, WELL)
    assert away.status == 503
    reason = {"about": "the server", "what": trouble.what, "why": trouble.why, "next": trouble.next}
    assert (said(away)["healthy"], said(away)["reasons"]) == (False, [reason])
    assert [each["about"] for each in said(away)["problems"]] == ["/data", "the server"]
    assert (of_a_folder.status, said(of_a_folder)["reasons"]) == (200, [])
    assert [each["about"] for each in said(of_a_folder)["problems"]] == ["/data"]


def test_what_a_person_must_do_for_an_execution_is_no_fault_of_the_daemon(journal):
    number = claimed(journal)
    journal.commit([MoveExecution(number, ExecutionTrigger.REFUSED, {"why": "403"})])

    with served(journal) as here:
        health, overview = ask(here, "/healthz"), ask(here, "/api/overview")

    assert (health.status, said(health)) == (200, WELL)
    assert said(overview)["attention"]["executions"] == 1


def test_health_is_told_in_time_though_the_journal_hangs(journal):
    hanging = Hanging(journal)
    paths = ["/healthz", "/healthz", "/api/overview", "/metrics", "/"]
    with (
        served(hanging, within_s=queries.WITHIN_S) as here,
        ThreadPoolExecutor(len(paths)) as askers,
    ):
        began_s = time.monotonic()
        asked = [askers.submit(ask, here, path) for path in paths]
        health, again, overview, metrics, page = [each.result() for each in asked]
        took_s = time.monotonic() - began_s
        hanging.answer.set()

    assert took_s < 20  # less than the journal takes
    assert queries.WITHIN_S < 2
    assert [each.status for each in (health, again, overview, page)] == [503, 503, 503, 200]
    (reason,) = said(health)["reasons"]
    assert (reason["about"], reason["what"]) == ("the journal", "cannot read the journal")
    assert said(overview)["what"] == "cannot read the journal"
    assert b"deriva_watch_journal_readable 0.0" in metrics.body
    assert hanging.asked == 1  # nobody sends a second thread after the first


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

    assert (answer.status, said(answer)["why"]) == (500, "this is a bug")
    (crash,) = [event for event in here.events if event.name == "daemon.crashed"]
    assert (crash.where, crash.why) == ("the answer to /api/overview", "ValueError('secret')")
