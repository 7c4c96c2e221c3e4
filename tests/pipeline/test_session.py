"""The session of the daemon, looked after before it ends."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from deriva_watch.core.errors import CredentialError
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Session
from deriva_watch.pipeline.session import SOON_S, LoginSession

HOST = "data.example.org"


class Host:
    """A server whose sessions last for so long."""

    host = HOST

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
    ends = datetime.now(UTC) + timedelta(seconds=SOON_S - 60)

    told = login(file, SOON_S - 60).refresh()

    assert told.what == f"the session at {HOST} ends soon"
    assert told.why == f"it ends at {ends:%H:%M} UTC"
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
