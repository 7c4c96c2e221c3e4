"""The daemon asks the server again for what it has uploaded, and says what differs."""

import re
import shlex

from running import Api, command, daemon, sandbox, summed_up, wait_until, write_config, write_files

PATH = "execution-asset/Model_File/m.bin"
OFTEN = {"every_days": 0.00001}  # about a second


def test_what_the_server_loses_later_needs_a_person_until_the_advice_is_followed(tmp_path):
    with sandbox(tmp_path / "server") as ready:
        api = Api(ready)
        rid = api.execution()
        config = write_config(tmp_path / "daemon", ready, tmp_path / "data", verify=OFTEN)
        with daemon(config) as running:
            write_files(tmp_path / "data/deriva-ml/execution" / rid, {PATH: rid})
            running.wait_for_state(rid, "uploaded")
            running.wait_for(lambda event: event["event"] == "verification.passed")
            assert summed_up(config)["oldest_proof"]["by"] == "server"
            [row] = api.rows("deriva-ml:Execution_Asset")
            api.call("DELETE", api.url + row["URL"])

            told = running.wait_for(lambda event: event["event"] == "difference.found")
            assert summed_up(config)["attention"]["executions"] == 1
            text = command(config, "status").stdout
            assert "1 execution needs attention" in text.splitlines()[0]
            assert "no longer on the server as uploaded" in text
            retry, verify = (
                shlex.split(line) for line in re.findall("`deriva-watch ([^`]*)`", told["next"])
            )
            assert command(config, *verify).returncode == 3
            lost = len(running.events())
            assert command(config, *retry).returncode == 0
            running.wait_for(lambda event: event["event"] == "verification.passed", after=lost)

            assert command(config, *verify).returncode == 0
            wait_until(lambda: summed_up(config)["attention"]["executions"] == 0)
