"""Killed at any one call, a file whose rows have a key in turns is completed, and doubles none."""

import os
from contextlib import suppress

import pytest

from deriva_watch.engine.rows import tables
from engine.rig import Crash, Lab, Power, every_crash
from running import Api

TABLE = "demo:Note"
PATH = "table/demo/Note/Note.csv"
ROWS = [("a", 1), ("b", 2), (None, 3), (None, 4), ("c", 5), (None, 6), ("d", 7), (None, 8)]

# How often a run calls what, at most.
CALLS = {
    "catalog.lease": 3,
    "catalog.insert": 6,
    "catalog.rows_where": 3,
    "journal.commit": 12,
    "journal.submit": 2,
}
MATRIX = every_crash(CALLS)
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


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Two rows a batch, so that there are several."""
    monkeypatch.setattr(tables, "BATCH_ROWS", 2)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c[0]}-{'after' if c[3] else 'before'}-{c[1]}-{c[2]}"
)
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
