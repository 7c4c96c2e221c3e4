"""The clock of the machine is set while the daemon runs."""

import os

import pytest

from faketime import another_time
from running import Api, daemon, sandbox, write_config, write_files

DAY_S = 86400
SLOW = pytest.mark.skipif("SOAK" not in os.environ, reason="takes ten seconds")


@pytest.mark.parametrize(
    "step_s",
    [
        pytest.param(-DAY_S, id="back", marks=SLOW),
        pytest.param(DAY_S, id="forward"),
    ],
)
def test_a_clock_that_is_set_neither_holds_work_up_nor_cuts_a_quiet_period(tmp_path, step_s):
    """For the daemon alone: libfaketime tells it another time, as its file says."""
    said = tmp_path / "time"
    said.write_text("+0")
    switches = {"FAKETIME_NO_CACHE": 1, "DONT_FAKE_MONOTONIC": 1, "NO_FAKE_STAT": 1}
    through = another_time(FAKETIME_TIMESTAMP_FILE=said, **switches)
    with sandbox(tmp_path / "server") as ready:
        rid = Api(ready).execution("Created")  # nobody's word shortens the wait
        config = write_config(tmp_path / "daemon", ready, tmp_path, completion={"quiet_s": 2})
        with daemon(config, through=through) as running:
            root = tmp_path / "deriva-ml" / "execution" / rid
            write_files(root, {"execution-asset/Model_File/a.bin": rid})
            running.wait_for_state(rid, "filling")

            new = tmp_path / "new time"  # whole at once: it is read all the time
            new.write_text(f"{step_s:+d}")
            new.replace(said)
            step = running.wait_for(lambda event: event["event"] == "clock.set")
            told = len(running.events())
            running.wait_for_state(rid, "uploaded")

        assert step["seconds"] == pytest.approx(step_s, abs=2)
        (ready_event,) = [e for e in running.events() if e["event"] == "execution.ready"]
        assert running.events().index(ready_event) >= told
        assert 2 <= ready_event["verdict"]["quiet_s"] < 60
