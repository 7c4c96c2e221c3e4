"""What an execution has to have become, by what was put on disk: plain HTTP, no engine.

Each function returns what is wrong, in lines; nothing wrong, no lines.
"""

import hashlib
import json
from collections import Counter, defaultdict

from kill.scene import EXECUTION, IMAGE, LEASE, REMARKS, VISIT
from system.difference import SYSTEM_COLUMNS, moved, new_rows

KEYLESS = (VISIT, REMARKS)


def wrong(scene):
    """Hold the whole server, receipts and manifest against what was on disk."""
    after = scene.api.tables()
    new = new_rows(scene.before, after)
    leases = [row["RID"] for row in new.pop(LEASE, [])]
    rows = [row for made in new.values() for row in made]
    labels = _labels(scene, [*rows, *after[IMAGE].values()])
    found = {table: Counter(_said(row, labels) for row in made) for table, made in new.items()}
    return [
        *_differences(_expected(scene), found),
        *_moved(scene, after),
        *_leases(scene, leases, new),
        *_objects(scene, after),
        *_receipt(scene, after),
        *_manifest(scene, labels),
    ]


# ---------------------------------------------------------------------- rows


def _labels(scene, rows):
    """Return what stands for the RIDs of assets."""
    by_content = {(a.md5, a.name, a.said.get("Subject")): a for a in scene.assets.values()}
    about = {row["RID"]: (row.get("MD5"), row.get("Filename"), row.get("Subject")) for row in rows}
    return {rid: by_content[key].label for rid, key in about.items() if key in by_content}


def _said(row, labels):
    """Return what a row says, without what the server gives by itself."""
    said = {
        name: labels.get(value, value)
        for name, value in row.items()
        if name not in SYSTEM_COLUMNS | {"RID"} and value is not None
    }
    if "URL" in said:
        said["URL"] = said["URL"].rpartition(":")[0]
    return json.dumps(said, sort_keys=True)


def _expected(scene):
    """Return the rows that have to be new, by table, counted."""
    rows = defaultdict(list, dict(scene.rows.values()))
    for asset in scene.distinct():
        column = asset.table.partition(":")[2]
        if not asset.is_adopted:
            row = {"Filename": asset.name, "Length": len(asset.content), "MD5": asset.md5}
            rows[asset.table].append(row | {"URL": asset.object} | asset.said)
        link = {column: asset.label, "Execution": scene.rid, "Asset_Role": "Output"}
        rows[f"{asset.table}_Execution"].append(link)
        rows[f"{asset.table}_Asset_Type"] += [
            {column: asset.label, "Asset_Type": kind} for kind in asset.types
        ]
    return {
        table: Counter(json.dumps(row, sort_keys=True) for row in made)
        for table, made in rows.items()
        if made
    }


def _differences(expected, found):
    for table in sorted(expected.keys() | found.keys()):
        want, have = expected.get(table, Counter()), found.get(table, Counter())
        yield from (f"{table} lacks {row}" for row in (want - have).elements())
        yield from (f"{table} has also {row}" for row in (have - want).elements())


def _moved(scene, after):
    """Say what became of rows that were there, besides the status of the execution."""
    became = moved(scene.before, after)
    if scene.who == "owner":  # a writer may not move it
        status = became.pop((EXECUTION, scene.rid), None)
        if status != {"Status": ("Stopped", "Uploaded")}:
            yield f"the status of the execution: {status}"
    else:  # the lease of an ordinary writer is used up by the row
        became.pop((LEASE, scene.leased), None)
        if scene.leased in after[LEASE]:
            yield "the lease of the given RID is still there"
    yield from (f"{table} {rid} became {columns}" for (table, rid), columns in became.items())


def _leases(scene, leases, new):
    """Say what is wrong with leases: one for each row without a key; an owner keeps it."""
    keyless = [row["RID"] for table in KEYLESS for row in new.get(table, [])]
    if sorted(leases) != (sorted(keyless) if scene.who == "owner" else []):
        yield f"leases of {leases}, but rows without a key are {keyless}"


# ---------------------------------------------------------------------- objects


def _objects(scene, after):
    """Say which versions there are that no row has, and which contents are not the files'."""
    contents = {asset.object: asset for asset in scene.assets.values()}
    urls = defaultdict(list)
    for table in {asset.table for asset in scene.assets.values()}:
        for row in after[table].values():
            urls[row["URL"].rpartition(":")[0]].append(row["URL"])
    names = scene.names()
    for name in sorted(names - scene.names_before - contents.keys()):
        yield f"{name} is no file of ours"
    for name in contents.keys() - names:
        yield f"{name} is not there"
    for name in contents.keys() & names:
        asset = contents[name]
        if jobs := scene.api.call("GET", f"{scene.api.url}{name};upload").json():
            yield f"{name} has the open jobs {jobs}"
        found = scene.api.call("GET", f"{scene.api.url}{name};versions").json()
        if sorted(found) != sorted(urls[name]):
            yield f"{name} has the versions {found}, rows have {urls[name]}"
        for url in found:
            if hashlib.md5(scene.api.content(url)).hexdigest() != asset.md5:
                yield f"{url} is not what {asset.name} is on disk"


# ---------------------------------------------------------------------- on disk


def _receipt(scene, after):
    """Say what is wrong with the receipt, and with its copy beside the files."""
    kept = list((scene.config.parent / "state" / "receipts").rglob("*.json"))
    copy = json.loads((scene.root / "deriva-watch-receipt.json").read_text())
    if [json.loads(path.read_text()) for path in kept] != [copy]:
        yield f"the receipts are {kept}, and the copy is not their only one"
    if copy["left"]:
        yield f"the receipt leaves {copy['left']}"
    lines = {line["file"]: line for line in copy["files"]}
    if sorted(lines) != sorted([*scene.assets, *scene.rows]):
        yield f"the receipt is of {sorted(lines)}"
    for path, line in lines.items():
        content = (scene.root / path).read_bytes()
        said = {
            "state": "linked",
            "size_bytes": len(content),
            "md5": hashlib.md5(content).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        if path in scene.rows:
            said |= {"table": scene.rows[path][0], "rows": len(scene.rows[path][1])}
        else:
            asset = scene.assets[path]
            row = after[asset.table].get(line["rid"], {})
            said |= {"table": asset.table, "object": row.get("URL"), "md5": row.get("MD5")}
            said |= {"rid": asset.rid} if asset.rid else {}
            said |= {"adopted": True} if asset.is_adopted else {}
        yield from (
            f"the receipt's {key} of {path} is {line[key]!r}, not {value!r}"
            for key, value in said.items()
            if line[key] != value
        )


def _manifest(scene, labels):
    """Say what is wrong with what was written back."""
    entries = json.loads((scene.root / "asset-manifest.json").read_text())["assets"]
    for name, entry in entries.items():
        label = scene.assets[f"assets/{name}"].label
        if (entry["status"], labels.get(entry["rid"])) != ("uploaded", label):
            yield f"the manifest says of {name}: {entry['status']} {entry['rid']}"
