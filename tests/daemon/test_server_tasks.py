"""An error of the server that concerns no unit trips the circuit breaker, and ends nothing."""

import json
import os

from deriva_watch.core.errors import RefusedError
from deriva_watch.daemon.server_tasks import ServerTasks
from deriva_watch.edges.host.problems import Problems, read
from deriva_watch.edges.server.credentials import CredentialSource
from deriva_watch.edges.server.deriva import Server
from deriva_watch.pipeline.circuit_breaker import CircuitBreaker
from deriva_watch.pipeline.session import LoginSession
from running import credential, sandbox


def test_a_server_that_does_not_let_a_session_be_extended_is_a_problem_and_no_crash(tmp_path):
    faults, events = tmp_path / "faults.json", []
    faults.write_text(json.dumps([{"action": "status", "status": 405, "method": "PUT"}]))
    with sandbox(tmp_path / "server", faults=faults) as ready:
        file = tmp_path / "credential.json"
        cookie = {"cookie": f"webauthn={credential(ready)['bearer-token']}"}
        file.write_text(json.dumps({ready["host"]: cookie}))
        source = CredentialSource(ready["host"], file)
        server = Server(ready["host"], source.read(), protocol="http")
        session = LoginSession(source, server)
        breaker = CircuitBreaker(ready["host"], events.append, server.session, session.renew, 1.0)
        problems = Problems(tmp_path, events.append)
        tasks = ServerTasks(breaker, session, None, None, None, problems)

        assert not tasks.check()

    assert isinstance(breaker.error, RefusedError)
    assert [each["about"] for each in read(tmp_path, os.getpid())] == ["the server"]
