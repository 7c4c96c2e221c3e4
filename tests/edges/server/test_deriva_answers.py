"""What a person is told when a server says no, or nothing."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deriva_watch.core.errors import CredentialError, RefusedError, ServerAwayError, ServerBusyError
from deriva_watch.edges.server.answers import Answer, away, retry_after_s, trouble
from deriva_watch.edges.server.deriva import Server

HOST = "data.example.org"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAGE = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">
<html><head>
<title>411 Length Required</title>
</head><body>
<h1>Length Required</h1>
</body></html>"""


def said(status, text="", **headers):
    return trouble("cannot store x", HOST, "dana@example.org", Answer(status, headers, text))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status):
    error = said(status, "Transaction aborted.", **{"Retry-After": "7"})

    assert type(error) is ServerBusyError
    assert error.retry_after_s == 7


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 411, 412, 413, 414, 418])
def test_a_refusal_carries_its_status(status):
    error = said(status)

    assert isinstance(error, RefusedError)
    assert error.status == status


def test_401_asks_for_another_credential():
    error = said(401, "Access requires authentication. Detail: enumerate access on catalog/2")

    assert isinstance(error, CredentialError)
    assert (
        error.why == f"{HOST} does not accept our credential (401: enumerate access on catalog/2)"
    )
    assert "deriva-globus-auth-utils login --host data.example.org" in error.next


def test_a_missing_right_is_said_with_name_thing_and_remedy():
    error = said(403, "Access forbidden. Detail: insert access on :demo:Subject\n")

    assert error.what == "cannot store x"
    assert error.why == (
        "data.example.org does not allow dana@example.org to do it "
        "(403: insert access on :demo:Subject)"
    )
    assert error.next.startswith("Ask the administrator")


def test_a_page_is_reduced_to_its_title():
    assert said(411, PAGE).why.endswith("(411: Length Required)")
    assert said(400, "<p>no title</p>").why.endswith("the request (400)")


def test_a_key_is_quoted_but_never_a_whole_row():
    duplicate = (
        "Request conflicts with state of server. Detail: Input data violates model. ERROR:  "
        'duplicate key value violates unique constraint "Subject_RID_key"\n'
        "DETAIL:  Key (RID)=(60P) already exists.\n"
    )
    null = (
        'Request conflicts with state of server. Detail: null value in column "URL" of relation '
        '"input_data_5Y" violates not-null constraint\n'
        "DETAIL:  Failing row contains (null, Jane Doe, 1971-02-03)."
    )
    syntax = "Request malformed. Detail: Bad JSON.\nCONTEXT:  JSON data, line 1: {Jane Doe..."

    assert "Key (RID)=(60P) already exists" in said(409, duplicate).why
    assert said(409, null).why.endswith("violates not-null constraint)")
    assert said(400, syntax).why.endswith("(400: Bad JSON)")


@given(st.text(), st.integers(400, 599))
def test_whatever_is_answered_becomes_one_short_line(text, status):
    error = said(status, text)

    assert len(error.why) < 500
    assert len(error.why.splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("120", 120),
        ("0", 0),
        ("Sun, 22 Nov 2026 12:02:00 GMT", 120),
        ("Sun, 22 Nov 2026 12:02:00 -0000", 120),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("inf", None),
        ("9" * 500, None),
        (f"Sun, 22 Nov {'9' * 30} 12:02:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment(value, wait_s):
    assert retry_after_s(value, NOW) == wait_s


@given(st.text())
def test_no_retry_after_is_a_bug(value):
    wait_s = retry_after_s(value, NOW)

    assert wait_s is None or wait_s >= 0


def test_silence_is_said_with_what_lies_at_its_bottom():
    broken = ConnectionResetError(104, "Connection reset by peer")

    error = away("cannot store x", HOST, OSError("Connection aborted.", broken))

    assert isinstance(error, ServerAwayError)
    assert error.why == "data.example.org does not answer: Connection reset by peer"


@pytest.mark.parametrize(
    ("credential", "secret"),
    [
        ({"bearer-token": "t0ken/of+the-lab"}, "t0ken/of+the-lab"),
        ({"cookie": "webauthn=c00kie-of-the-lab"}, "c00kie-of-the-lab"),
    ],
)
def test_a_proxy_that_shows_the_request_in_its_answer_gives_no_credential_away(credential, secret):
    """What a server says ends in the journal and on the status page."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403, explain=str(self.headers))

        error_message_format = "you said %(explain)s"
        error_content_type = "text/plain"

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Echo) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{proxy.server_port}"
        with Server(host, credential, protocol="http") as server, pytest.raises(RefusedError) as no:
            server.session()
        proxy.shutdown()

    assert "you said" in no.value.why
    assert "***" in no.value.why
    assert secret not in no.value.why
