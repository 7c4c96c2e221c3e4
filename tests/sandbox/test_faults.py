"""Faults on demand: the client sees them, and the effect is there or not as asked."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from deriva_watch.sandbox.faults import Rule, read_faults, strike
from running import wait_until

BROKEN = (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead)


@pytest.fixture
def faulty(start, tmp_path):
    """Start a sandbox with one rule."""

    def faulty(**rule):
        file = tmp_path / "faults.json"
        file.write_text(json.dumps([rule]))
        return start("--faults", str(file))

    return faulty


def test_a_status_is_answered_in_place_of_the_effect(faulty):
    sandbox = faulty(action="status", status=429, retry_after_s=7, route="^/hatrac", nth=2)

    answers = [sandbox.writer.store(f"Image/{number}") for number in range(3)]

    assert [answer.status for answer in answers] == [201, 429, 201]
    assert answers[1].headers["Retry-After"] == "7"
    assert sandbox.writer.ask("HEAD", "/hatrac/Image/1").status == 404


@pytest.mark.parametrize(("action", "stored"), [("reset_before", 0), ("reset_after", 1)])
def test_a_connection_breaks_before_or_after_the_effect(faulty, action, stored):
    sandbox = faulty(action=action, method="POST", route="/entity/demo:Subject")

    with pytest.raises(BROKEN):
        sandbox.writer.insert("demo:Subject", {"Name": "new"})

    assert stored == len(sandbox.writer.select("demo:Subject/Name=new"))
    assert sandbox.log[0]["method"] == "POST"


def test_half_an_answer_arrives(faulty):
    sandbox = faulty(action="truncate", method="GET", nth=1)

    with pytest.raises(BROKEN):
        sandbox.writer.get("/ermrest/catalog/1/schema")

    assert sandbox.writer.get("/ermrest/catalog/1/schema").status == 200


def test_a_stalled_request_goes_on_later(faulty):
    sandbox = faulty(action="stall", stall_s=0.5, method="GET")

    began = time.monotonic()

    assert sandbox.writer.get("/authn/session").status == 200
    assert time.monotonic() - began > 0.5


def test_a_stalled_request_can_wait_until_a_file_is_gone(faulty, tmp_path):
    file = tmp_path / "there"
    sandbox = faulty(action="stall", while_there=str(file), method="GET")
    file.touch()
    with ThreadPoolExecutor(1) as asker:
        asked = asker.submit(sandbox.writer.get, "/authn/session")
        with pytest.raises(TimeoutError):
            asked.result(0.2)

        file.unlink()

        assert asked.result().status == 200
    assert sandbox.writer.get("/authn/session").status == 200


def seconds(function, *arguments, **more):
    """Return what it returns, and how long that takes."""
    began = time.monotonic()
    return function(*arguments, **more), time.monotonic() - began


def test_a_narrow_line_slows_what_is_sent(faulty):
    sandbox = faulty(action="slow", bytes_per_s=20_000, method="PUT")

    answer, took_s = seconds(sandbox.writer.store, "Image/slow", bytes(10_000))

    assert answer.status == 201
    assert took_s > 0.5
    assert sandbox.log[0]["fault"] == "slow"
    assert sandbox.writer.get("/hatrac/Image/slow").body == bytes(10_000)


def test_a_narrow_line_slows_what_is_answered(faulty):
    sandbox = faulty(action="slow", bytes_per_s=20_000, method="GET")
    sandbox.writer.store("Image/slow", bytes(10_000))

    answer, took_s = seconds(sandbox.writer.get, "/hatrac/Image/slow")

    assert answer.body == bytes(10_000)
    assert took_s > 0.5


def test_an_expired_session_is_nobodys_from_that_request_on(faulty):
    """As measured: 401 of the services, and 404 of the question who one is."""
    sandbox = faulty(action="expire", nth=3)
    assert sandbox.writer.store("Image/before").status == 201
    assert sandbox.writer.get("/authn/session").status == 200

    assert sandbox.writer.store("Image/struck").status == 401
    assert sandbox.writer.store("Image/after").status == 401
    assert sandbox.writer.insert("demo:Subject", {"Name": "new"}).status == 401
    assert sandbox.writer.get("/ermrest/catalog/1/schema").status == 401
    assert sandbox.writer.get("/authn/session").status == 404
    assert sandbox.owner.get("/authn/session").status == 200
    assert sandbox.owner.ask("HEAD", "/hatrac/Image/struck").status == 404
    assert [line["fault"] for line in sandbox.log][:4] == [None, None, "expire", None]
    assert sandbox._token("writer") == sandbox.writer.token


def test_a_new_session_lies_in_the_credential_file_after_a_while(faulty):
    sandbox = faulty(action="expire", nth=1, renew_after_s=0.3)
    sandbox.writer.get("/authn/session")
    assert sandbox._token("writer") == sandbox.writer.token

    wait_until(lambda: sandbox._token("writer") != sandbox.writer.token)

    renewed = replace(sandbox.writer, token=sandbox._token("writer"))
    assert renewed.get("/authn/session").json["client"]["id"] == "sandbox-writer"
    assert sandbox.writer.get("/authn/session").status == 404


def test_a_rule_ends_when_it_has_struck_often_enough():
    rules = [Rule.read({"action": "stall", "times": 2})]

    assert [strike(rules, "GET", "/") is not None for _ in range(4)] == [True, True, False, False]


def test_the_same_seed_strikes_the_same_requests():
    def struck():
        rules = [Rule.read({"action": "stall", "probability": 0.3, "seed": 5})]
        return [strike(rules, "GET", "/") is not None for _ in range(100)]

    assert struck() == struck()
    assert 10 < sum(struck()) < 50


def test_rules_count_only_what_they_fit():
    rules = [Rule.read({"action": "stall", "method": "PUT", "route": "/a", "nth": [1, 3]})]
    requests = [("GET", "/a"), ("PUT", "/a"), ("PUT", "/b"), ("PUT", "/a"), ("PUT", "/a")]

    assert [strike(rules, *request) is not None for request in requests] == [
        False,
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[{"action": "explode"}]',
        '[{"action": "stall", "when": 1}]',
        '[{"method": "PUT"}]',
        '[{"action": "slow", "bytes_per_s": 0}]',
        '"stall"',
        "{",
    ],
)
def test_a_bad_file_is_no_list_of_faults(tmp_path, text):
    file = tmp_path / "faults.json"
    file.write_text(text)

    with pytest.raises(ValueError, match=r"fault|Action|Expecting"):
        read_faults(file)


def test_a_file_of_faults_may_be_toml(tmp_path):
    file = tmp_path / "faults.toml"
    file.write_text('[[faults]]\naction = "status"\nstatus = 500\n')

    (rule,) = read_faults(file)

    assert (rule.action, rule.status) == ("status", 500)
