"""How long a login lasts, and what extends it."""

from datetime import datetime, timedelta

from deriva_watch.sandbox.identity import EXTENDED_EVERY, REMEMBERED, Sessions
from running import wait_until


def session_of(client):
    return client.get("/authn/session")


def test_a_session_ends_when_nobody_extends_it(start):
    sandbox = start("--session-s", "2")

    wait_until(lambda: session_of(sandbox.writer).status == 404)

    assert sandbox.writer.get("/ermrest/catalog/1/entity/demo:Subject").status == 401
    assert sandbox.writer.get("/hatrac/Image").status == 401


def test_the_end_of_a_session_tells_days_and_the_seconds_left_do_not(start):
    known = session_of(start().writer).json

    left = datetime.fromisoformat(known["expires"]) - datetime.fromisoformat(known["since"])
    assert left == timedelta(days=30)
    assert 0 <= known["seconds_remaining"] < 86_400


def test_a_put_extends_a_session_and_a_service_does_after_a_minute(tmp_path):
    """The times are moved by hand: the recorded scenarios wait for them."""
    sessions = Sessions(tmp_path, "host")
    token = next(iter(sessions._sessions))
    headers = {"authorization": f"Bearer {token}"}
    session = sessions.find(headers)

    sessions.client_of(headers, "ermrest")
    first = session.expires
    sessions.client_of(headers, "ermrest")
    assert session.expires == first

    session.extended_at -= EXTENDED_EVERY
    sessions.client_of(headers, "ermrest")
    assert session.expires == first

    session.seen_at["ermrest"] -= REMEMBERED + timedelta(seconds=1)
    sessions.client_of(headers, "ermrest")
    second = session.expires
    assert second > first

    sessions.extend(session)
    assert session.expires == second  # it was extended a moment ago
    session.extended_at -= EXTENDED_EVERY
    sessions.extend(session)
    assert session.expires > second


def test_whoever_logs_out_is_nobody(start):
    sandbox = start()

    assert sandbox.writer.ask("DELETE", "/authn/session").status == 200

    assert session_of(sandbox.writer).status == 404
    assert sandbox.writer.insert("demo:Subject", {"Name": "late"}).status == 401
    assert session_of(sandbox.owner).status == 200
