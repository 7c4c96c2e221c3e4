"""Killed at any one call, a file whose rows have a key in turns is completed, and doubles none."""

import os
from contextlib import suppress

import pytest

from engine.rig import TABLE_CALLS, Crash, Lab, Power, crash_name, every_crash
from running import Api

TABLE = "demo:Note"
PATH = "table/demo/Note/Note.csv"
ROWS = [("a", 1), ("b", 2), (None, 3), (None, 4), ("c", 5), (None, 6), ("d", 7), (None, 8)]

pytestmark = pytest.mark.usefixtures("two_rows_a_batch")
MATRIX = every_crash(TABLE_CALLS)
CASES = MATRIX if os.environ.get("SOAK") else MATRIX[::5]


@pytest.fixture(scope="module", autouse=True)
def _a_table_whose_key_may_be_null(ready):
    api = Api(ready)
    system = [
        {"name": name, "type": {"typename": f"ermrest_{name.lower()}"}, "nullok": "B" in name}
        for name in ("RID", "RCT", "RMT", "RCB", "RMB")
    ]
    columns = [{"name": name, "type": {"typename": "text"}} for name in ("Run", "Code", "Text")]
    table = {
        "table_name": "Note",
        "column_definitions": [*system, *columns],
        "keys": [{"unique_columns": ["RID"]}, {"unique_columns": ["Code"]}],
    }
    api.call("POST", f"{api.catalog}/schema/demo/table", json=table)


@pytest.mark.parametrize("case", CASES, ids=crash_name)
def test_a_crash_doubles_no_row(tmp_path, ready, case):
    who, name, number, after = case
    lab = Lab(tmp_path, ready)
    lines = [f"{lab.rid},{f'{code} {lab.rid}' if code else ''},{text}\n" for code, text in ROWS]
    lab.write({PATH: "Run,Code,Text\n" + "".join(lines)})
    with lab.rigged(who, power=Power(name, number, after=after)) as dying, suppress(Crash):
        dying.upload()

    with lab.rigged(who) as rig:
        record = rig.bring()

    assert record.state == "uploaded", record.why
    there = [row["Text"] for row in lab.api.rows(TABLE) if row["Run"] == lab.rid]
    assert sorted(there) == [str(number) for _, number in ROWS]
    assert [file.rows for file in lab.files().values()] == [len(ROWS)]
