"""The session of the daemon, looked after before it ends."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.errors import CredentialError
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Server, Session
from deriva_watch.pipeline.session import SOON_S, LoginSession
from running import credential, requests_seen, sandbox, wait_until

HOST = "data.example.org"


class Host:
    """A server whose sessions last for so long."""

    host, uses_cookie = HOST, False

    def __init__(self, remaining_s):
        self.remaining_s, self.credentials, self.asked = remaining_s, [], 0

    def session(self):
        """Say how long it lasts."""
        self.asked += 1
        return Session("dana", "dana", self.remaining_s)

    def set_credential(self, credential):
        """Take it."""
        self.credentials.append(credential)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "credential.json"
    write(path, "first")
    return path


def write(path, token):
    path.write_text(json.dumps({HOST: {"bearer-token": token}}))


def login(file, remaining_s):
    source = CredentialSource(HOST, file)
    source.read()
    return LoginSession(source, Host(remaining_s))


def test_a_session_that_ends_soon_is_told_and_no_other(file):
    left = timedelta(seconds=SOON_S - 60)

    before = datetime.now(UTC)
    told = login(file, left.seconds).refresh()
    after = datetime.now(UTC)

    assert told.what == f"the session at {HOST} ends soon"
    assert told.why in {f"it ends at {now + left:%H:%M} UTC" for now in (before, after)}
    assert told.next.startswith("Run deriva-globus-auth-utils login")
    assert login(file, SOON_S + 60).refresh() is None
    assert login(file, None).refresh() is None  # the server does not say


def test_the_server_is_asked_now_and_then(file):
    ending = login(file, 60)

    assert {str(ending.refresh()) for _ in range(5)} == {str(ending.refresh())}
    assert ending.server.asked == 1


def test_a_renewed_credential_is_taken_up_and_ends_the_warning(file):
    ending = login(file, 60)
    assert ending.refresh()

    write(file, "a second one")
    ending.server.remaining_s = 86400

    assert ending.refresh() is None
    assert ending.server.credentials == [{"bearer-token": "a second one"}]


def test_a_source_that_has_none_any_more_is_told_and_ends_nothing(file):
    """The session that we have may last for a while."""
    lasting = login(file, 86400)
    file.unlink()

    told = lasting.refresh()

    assert isinstance(told, CredentialError)
    assert told.why == f"there is no {file}"
    assert lasting.server.credentials == []


def test_without_a_credential_the_server_is_not_asked(file):
    missing = CredentialError("cannot log in", "there is no file", "Log in.")
    without = LoginSession(login(file, 60).source, Host(60), missing)

    with pytest.raises(CredentialError, match="there is no file"):
        without.renew()

    write(file, "a second one")
    assert without.source.changed()
    assert without.renew()
    assert not without.renew()


# ---------------------------------------------------------------- the sandbox's sessions


@pytest.fixture
def ready(tmp_path):
    with sandbox(tmp_path / "server", session_s=8) as ready:
        yield ready


def logged_in(ready, file, kind):
    """Return a session at the sandbox by a token or a cookie."""
    token = credential(ready)["bearer-token"]
    given = {"cookie": {"cookie": f"webauthn={token}"}, "token": {"bearer-token": token}}[kind]
    file.write_text(json.dumps({ready["host"]: given}))
    source = CredentialSource(ready["host"], file)
    return LoginSession(source, Server(ready["host"], source.read(), protocol="http"))


def test_an_idle_daemon_extends_its_cookie_session_before_it_ends(ready, file):
    session = logged_in(ready, file, "cookie")
    session.refresh()
    ends_s = time.monotonic() + session.remaining_s

    def extended():
        session.refresh()
        return time.monotonic() + session.remaining_s > ends_s + 2

    wait_until(extended)


def test_a_bearer_token_is_never_extended_by_us(ready, file):
    session = logged_in(ready, file, "token")

    session.refresh()
    session.server.session()  # whatever came before it is in the log

    assert {request["method"] for request in requests_seen(ready)} == {"GET"}


def test_the_end_of_a_session_is_told_with_its_days(tmp_path, file):
    """`seconds_remaining` of the same answer drops them."""
    with sandbox(tmp_path / "server", session_s=30 * 86_400) as ready:
        session = logged_in(ready, file, "token")

        assert session.refresh() is None
        assert session.remaining_s > 29 * 86_400


def test_a_session_whose_end_is_no_time_has_no_known_end(file):
    session = login(file, None)

    assert session.refresh() is None
    assert session.remaining_s is None
