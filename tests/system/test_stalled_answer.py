"""One answer of the server that never comes holds up one unit, for a short time."""

import json

from running import Api, daemon, sandbox, write_config, write_files

STALL = {
    "action": "stall",
    "method": "GET",
    "route": "/entity/.*Execution/RID=",
    "nth": [3],
    "stall_s": 3600,
}


def test_a_question_that_is_never_answered_is_told_and_holds_up_nobody(tmp_path):
    faults, data = tmp_path / "faults.json", tmp_path / "data"
    faults.write_text(json.dumps([STALL]))
    with sandbox(tmp_path / "server", faults=faults) as ready:
        api = Api(ready)
        config = write_config(tmp_path / "daemon", ready, data)
        with daemon(config) as running:
            rids = []
            for _ in range(6):
                rid = api.execution()
                write_files(data / "deriva-ml/execution" / rid, {"assets/Execution_Asset/a": rid})
                rids.append(rid)

            hung = running.wait_for(lambda event: event["event"] == "call.hung", timeout_s=30)
            assert hung["what"] == f"the server {ready['host']} does not answer"
            before = {e.get("execution") for e in running.events() if _is_in(e)}
            assert len(before & set(rids)) >= len(rids) - 1
            for rid in rids:
                running.wait_for_state(rid, "uploaded")


def _is_in(event):
    return event["event"] == "execution.uploaded"
