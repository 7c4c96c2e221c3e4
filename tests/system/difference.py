"""What became of a server: whole tables and all object versions, before and after."""

import hashlib
from collections import Counter

ASSET = "deriva-ml:Execution_Asset"
LINK = "deriva-ml:Execution_Asset_Execution"
SYSTEM_COLUMNS = {"RCT", "RMT", "RCB", "RMB"}


def new_rows(before, after):
    """Return the rows that *before* does not have, by table."""
    return {
        table: new
        for table, rows in after.items()
        if (new := [row for rid, row in rows.items() if rid not in before[table]])
    }


def moved(before, after):
    """Return what else became of rows: {(table, RID): {column: (before, after)}}."""
    found = {}
    for table, rows in before.items():
        for rid, row in rows.items():
            now = after[table].get(rid, {})
            pairs = {name: (row[name], now.get(name)) for name in row.keys() - SYSTEM_COLUMNS}
            if pairs := {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}:
                found[table, rid] = pairs
    return found


def assert_arrived_once(api, before, rid, files):
    """Since *before*, *files* (contents by name) came in once each, for one execution, alone."""
    after, versions = api.tables(), api.versions()
    new = new_rows(before, after)
    assert {table: len(rows) for table, rows in new.items()} == dict.fromkeys(
        (ASSET, LINK), len(files)
    )
    assert moved(before, after) == {
        ("deriva-ml:Execution", rid): {"Status": ("Stopped", "Uploaded")}
    }
    rows = {row["Filename"]: row for row in new[ASSET]}
    assert {name: row["MD5"] for name, row in rows.items()} == {
        name: hashlib.md5(content).hexdigest() for name, content in files.items()
    }
    assert {(row["Execution_Asset"], row["Execution"]) for row in new[LINK]} == {
        (row["RID"], rid) for row in new[ASSET]
    }
    # One version of each object, and it is what the row says.
    assert sorted(versions.values()) == sorted([row["URL"]] for row in new[ASSET])
    for name, row in rows.items():
        assert api.content(row["URL"]) == files[name]


def stored(requests):
    """Count how often an object, or a chunk of one, was taken: {path: times}."""
    return Counter(
        each["path"].partition("?")[0]
        for each in requests
        if each["method"] == "PUT" and each["path"].startswith("/hatrac") and each["status"] < 300
    )
