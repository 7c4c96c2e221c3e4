"""Directories that may belong to another catalog: nothing of them is sent until that is known.

RIDs repeat from catalog to catalog, so a directory that is copied to another host, or left over
from another catalog, may find its RID taken.
"""

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from deriva_watch.sandbox.starter import ROWS
from running import (
    Api,
    command,
    daemon,
    detailed,
    sandbox,
    summed_up,
    write_config,
    write_files,
)

WORKSPACE = Path(__file__).parent.parent / "data/workspace/images.db"
ASSET = "asset/deriva-ml/Execution_Asset/good.txt"
UNKNOWN, SUBJECT, YOUNG, ELSEWHERE, TWICE = "9-ZZZZ", "1-S001", "1-E001", "1-E002", "1-E003"
OURS = "1-E004"
LATIN = os.fsdecode(b"1-E00\xe9")


def executions(*rids, **columns):
    rows = [{"RID": rid, "Status": "Stopped", **columns} for rid in rids]
    return {"table": "deriva-ml:Execution", "rows": rows}


def write_rows(file, *tables):
    file.write_text(json.dumps([*ROWS, *tables]))
    return file


def in_days(count):
    return (datetime.now(UTC) + timedelta(days=count)).isoformat()


def write_workspace(prefix, host, catalog, rid):
    """Write the database that deriva-ml has for a catalog; it lists one execution."""
    path = prefix / "catalogs" / f"{host}__{catalog}" / "working/main.db"
    path.parent.mkdir(parents=True)
    shutil.copyfile(WORKSPACE, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM execution_state__assets")
        database.execute(
            "UPDATE execution_state__executions SET rid = ?, status = 'Stopped'", (rid,)
        )
        database.commit()


def drop(prefix, rid):
    root = prefix / "deriva-ml/execution" / rid
    write_files(root, {ASSET: f"of {os.fsencode(rid)}"})
    return root


def knows_births(folder):
    """Tell whether the file system says when a folder was made."""
    line = ["stat", "--format=%W", folder]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
    return told not in {"0", "-"}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What was said of directories whose owner is in doubt, and what a person's word changed."""
    base = tmp_path_factory.mktemp("owners")
    plain, foreign, double, ours = (base / name for name in ("plain", "foreign", "double", "ours"))
    rows = write_rows(
        base / "rows.json",
        executions(YOUNG, RCT=in_days(3)),
        executions(ELSEWHERE, TWICE, OURS, RCT=in_days(-3)),
    )
    with sandbox(base / "server", rows=rows) as ready:
        api = Api(ready)
        good = api.execution()
        write_workspace(foreign, "other.example.org", "7", ELSEWHERE)
        write_workspace(double, "other.example.org", "1", TWICE)
        write_workspace(double, ready["host"].partition(":")[0], "1", TWICE)
        write_workspace(ours, ready["host"].partition(":")[0], "1", OURS)
        dropped = {
            **dict.fromkeys((UNKNOWN, SUBJECT, YOUNG, "no rid", LATIN, good), plain),
            ELSEWHERE: foreign,
            TWICE: double,
            OURS: ours,
        }
        for rid, prefix in dropped.items():
            drop(prefix, rid)
        config = write_config(base / "settings", ready, plain)
        watches = "".join(f'[[watch]]\nprefix = "{each}"\n' for each in (foreign, double, ours))
        config.write_text(config.read_text() + watches)
        doubtful = [UNKNOWN, SUBJECT, "no rid", ELSEWHERE, TWICE]
        doubtful += [YOUNG] if knows_births(plain) else []
        with daemon(config) as running:
            for rid in doubtful:
                running.wait_for_state(rid, "refused")
            for rid in (good, OURS):
                running.wait_for_state(rid, "uploaded")
            before = SimpleNamespace(
                shown={rid: detailed(config, rid) for rid in doubtful},
                status=summed_up(config),
                linked=linked(api),
            )
            answer = api.call(
                "POST",
                f"{api.catalog}/entity/deriva-ml:Execution?nondefaults=RID&defaults=RCT,RMT,RCB,RMB",
                json=[{"RID": UNKNOWN, "Status": "Stopped"}],
            )
            assert answer.json()[0]["RID"] == UNKNOWN
            number = len(running.events())
            command(config, "retry", UNKNOWN)
            for rid in (SUBJECT, YOUNG, ELSEWHERE, TWICE):
                if rid in doubtful:
                    retried = command(config, "retry", rid, "--this-catalog", "--json")
                    assert json.loads(retried.stdout)["this_catalog"]
            for rid in doubtful:
                if rid not in {SUBJECT, "no rid"}:
                    running.wait_for_state(rid, "uploaded", after=number)
            running.wait_for_state(SUBJECT, "refused", after=number)
            events = running.events()
            after = SimpleNamespace(status=summed_up(config), linked=linked(api))
    return SimpleNamespace(
        doubtful=doubtful, good=good, events=events, before=before, after=after, base=base
    )


def linked(api):
    return {row["Execution"] for row in api.rows("deriva-ml:Execution_Asset_Execution")}


@pytest.mark.parametrize(
    ("rid", "why", "then"),
    [
        (
            UNKNOWN,
            "catalog 1 has no such Execution: the catalog has no row with RID 9-ZZZZ",
            "retry 9",
        ),
        (
            SUBJECT,
            "catalog 1 has no such Execution: RID 1-S001 belongs to table demo:Subject",
            "Rename",
        ),
        ("no rid", "catalog 1 has no such Execution", "deriva-watch retry 'no rid'"),
        (YOUNG, "before the Execution of that RID", f"retry {YOUNG} --this-catalog"),
        (ELSEWHERE, "belongs to other.example.org catalog 7, not to", "--this-catalog"),
        (TWICE, "several workspaces of deriva-ml list it: 127.0.0.1 catalog 1", "--this-catalog"),
    ],
)  # fmt: skip
def test_a_directory_that_may_be_anothers_is_refused_with_the_reason(told, rid, why, then):
    if rid not in told.doubtful:
        pytest.skip("this file system does not know when a folder was made")
    (entry,) = [each for each in told.before.status["refused"] if each["rid"] == rid]
    event = next(
        event
        for event in told.events
        if (event["event"], event.get("execution")) == ("execution.refused", rid)
    )

    assert entry["what"] == f"execution {rid} is not uploaded"
    assert why in entry["why"]
    assert then in entry["next"]
    assert [event[part] for part in ("what", "why", "next")] == [
        entry[part] for part in ("what", "why", "next")
    ]
    assert told.before.shown[rid]["why"] == entry["why"]
    assert told.before.shown[rid]["files"] == []


def test_nothing_of_it_is_sent_and_its_neighbours_are(told):
    assert told.before.linked == {told.good, OURS}


def test_a_name_that_no_rid_can_have_is_said_once_and_stops_nothing(told):
    (waits,) = told.before.status["problems"]
    said = [event for event in told.events if event["event"] == "notice.added"]

    assert waits["about"].endswith("1-E00\\udce9")
    assert "not UTF-8" in waits["why"]
    assert "Rename" in waits["next"]
    assert [event["execution"] for event in said] == ["1-E00\\xe9"]
    assert not [event for event in told.events if event["event"] == "daemon.crashed"]


def test_a_persons_word_is_enough_where_the_signs_are_in_doubt(told):
    sure = set(told.doubtful) - {SUBJECT, "no rid"}

    assert told.after.linked == sure | {told.good, OURS}


def test_no_word_makes_an_execution_of_a_row_of_another_table(told):
    refused = {entry["rid"]: entry["why"] for entry in told.after.status["refused"]}

    assert refused.keys() == {SUBJECT, "no rid"}
    assert refused[SUBJECT].endswith("RID 1-S001 belongs to table demo:Subject")


def test_an_upload_of_several_directories_refuses_only_those_that_are_not_ours(tmp_path):
    """A person's word, left as an order while no daemon runs, counts for the next upload."""
    rows = write_rows(tmp_path / "rows.json", executions(ELSEWHERE, OURS, RCT=in_days(-3)))
    with sandbox(tmp_path / "server", rows=rows) as ready:
        api = Api(ready)
        write_workspace(tmp_path, "other.example.org", "7", ELSEWHERE)
        for rid in (ELSEWHERE, LATIN, OURS, UNKNOWN):
            drop(tmp_path, rid)
        config = write_config(tmp_path / "settings", ready, tmp_path)

        plan = command(config, "plan", tmp_path, "--json")
        first = command(config, "upload", tmp_path, "--json")
        in_first = linked(api)
        command(config, "retry", ELSEWHERE, "--this-catalog")
        second = command(config, "upload", tmp_path, "--json")
        planned = command(config, "plan", tmp_path, "--json")

        states = {e["rid"]: e["state"] for e in json.loads(first.stdout)["executions"]}
        assert plan.returncode == first.returncode == second.returncode == 3
        answers = {rid: sorted(answer) for rid, answer in json.loads(plan.stdout).items()}
        assert answers.pop(OURS) == ["assets", "left", "notices", "rows", "verdict"]
        assert answers == {rid: ["error"] for rid in (ELSEWHERE, "1-E00\\udce9", UNKNOWN)}
        assert "assets" in json.loads(planned.stdout)[ELSEWHERE]
        assert sorted(states.items()) == [
            (ELSEWHERE, "refused"),
            (OURS, "uploaded"),
            ("1-E00\\udce9", "refused"),
            (UNKNOWN, "refused"),
        ]
        assert in_first == {OURS}
        assert linked(api) == {OURS, ELSEWHERE}


def test_a_workspace_that_cannot_be_read_holds_up_its_directory_and_is_said_once(tmp_path):
    """Nothing is uploaded without the metadata that stand in it."""
    rows = write_rows(tmp_path / "rows.json", executions(OURS, RCT=in_days(-3)))
    with sandbox(tmp_path / "server", rows=rows) as ready:
        api = Api(ready)
        host = ready["host"].partition(":")[0]
        write_workspace(tmp_path, host, "1", OURS)
        database = tmp_path / f"catalogs/{host}__1/working/main.db"
        whole = database.read_bytes()
        database.write_bytes(b"no database" * 1000)
        drop(tmp_path, OURS)
        config = write_config(tmp_path / "settings", ready, tmp_path)
        at_once = command(config, "upload", tmp_path, "--json")

        with daemon(config) as running:
            said = running.wait_for(lambda event: event["event"] == "notice.added")
            (waits,) = summed_up(config)["problems"]
            assert linked(api) == set()
            database.write_bytes(whole)
            running.wait_for_state(OURS, "uploaded")
            names = [event["event"] for event in running.events()]

    assert at_once.returncode == 10
    (execution,) = json.loads(at_once.stdout)["executions"]
    assert execution["what"] == waits["what"] == f"cannot use deriva-ml's workspace {database}"
    assert "not a database" in waits["why"]
    assert waits["why"] in said["why"]
    assert names.count("notice.added") == 1


def test_what_waits_for_one_catalog_is_never_sent_to_another(tmp_path):
    """The settings were changed to a server where the same RID is another Execution."""
    rows = write_rows(tmp_path / "rows.json", executions(OURS, RCT=in_days(-3)))
    others = write_rows(tmp_path / "others.json", executions(OURS, RCT=in_days(3)))
    faults = tmp_path / "faults.json"
    faults.write_text('{"faults": [{"action": "status", "method": "PUT", "status": 503}]}')
    prefix = tmp_path / "data"
    drop(prefix, OURS)
    if not knows_births(prefix):
        pytest.skip("this file system does not know when a folder was made")
    slow = {"retry": {"initial_s": 1, "max_s": 2}}
    with (
        sandbox(tmp_path / "one", rows=rows, faults=faults) as one,
        daemon(write_config(tmp_path / "settings", one, prefix, **slow)) as running,
    ):
        running.wait_for_state(OURS, "waiting")
        running.stop()
    with sandbox(tmp_path / "other", rows=others) as other:
        config = write_config(tmp_path / "settings", other, prefix, **slow)
        with daemon(config) as running:
            running.wait_for_state(OURS, "refused")
            number = len(running.events())
            command(config, "retry", "--all")
            running.wait_for_state(OURS, "refused", after=number)
            names = {event["event"] for event in running.events()}
        assert Api(other).rows("deriva-ml:Execution_Asset") == []
    assert "execution.ready" in names  # of what waits for the other one
    assert "execution.uploading" not in names
