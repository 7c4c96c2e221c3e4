"""What a server must hold for what lies on disk, asked over plain HTTP; it knows no engine.

What was on disk only for a while may be there as well, once.
"""

import csv
import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from running import Api

ASSETS = {
    "Image": "demo:Image",
    "Execution_Asset": "deriva-ml:Execution_Asset",
    "Execution_Metadata": "deriva-ml:Execution_Metadata",
}
OF_OURS = re.compile(r"\.?deriva-watch-")  # receipts, and what a killed daemon left of one
TELLING = re.compile(r"asset-manifest\.json|asset-type/.*|feature/.*|table/.*")
PLACES = (
    re.compile(r"(?P<dir>execution-asset)/(?P<type>[^/]+)/(?P<name>[^/]+)"),
    re.compile(r"(?P<dir>execution-metadata)/(?P<type>[^/]+)/(?P<name>[^/]+)"),
    re.compile(r"assets/(?P<table>[^/]+)/(?P<name>[^/]+)"),
    re.compile(
        r"asset/demo/(?P<table>Image)/__NULL__/__NULL__/__NULL__/(?P<subject>[^/]+)/(?P<name>[^/]+)"
    ),
)
TYPED = {"execution-asset": "Execution_Asset", "execution-metadata": "Execution_Metadata"}


class Asset(NamedTuple):
    """What one row says: the same in two rows is one too many."""

    table: str
    name: str
    md5: str
    subject: str | None


@dataclass(frozen=True)
class OnDisk:
    """A file that is to be uploaded."""

    rid: str
    path: str
    asset: Asset
    types: frozenset[str]


def on_disk(root: Path) -> Iterator[OnDisk]:
    """Yield the files of the execution directory *root* that become assets."""
    manifest, types = root / "asset-manifest.json", root / "asset-type/demo/Image.jsonl"
    entries = json.loads(manifest.read_text())["assets"] if manifest.exists() else {}
    said = [json.loads(line) for line in types.read_text().splitlines()] if types.exists() else []
    typed = {name: kinds for line in said for name, kinds in line.items()}
    for path in paths(root):
        if OF_OURS.match(path) or TELLING.fullmatch(path):
            continue
        part = next(found for place in PLACES if (found := place.fullmatch(path))).groupdict()
        table = part.get("table") or TYPED[part["dir"]]
        entry = entries.get(f"{table}/{part['name']}", {}) if path.startswith("assets/") else {}
        subject = part.get("subject") or entry.get("metadata", {}).get("Subject")
        md5 = hashlib.md5((root / path).read_bytes()).hexdigest()
        kinds = entry.get("asset_types") or typed.get(part["name"])
        kinds = kinds or ([part["type"]] if part.get("type") else [])
        asset = Asset(ASSETS[table], part["name"], md5, subject)
        yield OnDisk(root.name, path, asset, frozenset(kinds))


def paths(root: Path) -> list[str]:
    """Return the paths of all files below *root*."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118  # as quick as it is short
        for folder, _, names in os.walk(root)
        for name in names
    )


class Oracle:
    """Compares what lies below *executions* with what the server holds, when it is made."""

    def __init__(self, api: Api, executions: Path):
        self._api = api
        self._roots = sorted(executions.iterdir())
        self.files = [file for root in self._roots for file in on_disk(root)]
        self._tables = {name: list(rows.values()) for name, rows in api.tables().items()}
        self._versions = api.versions()
        self.rows = defaultdict(list)
        for table in ASSETS.values():
            for row in self._tables[table]:
                asset = Asset(table, row["Filename"], row["MD5"], row.get("Subject"))
                self.rows[asset].append(row)

    def differences(self, receipts: Path) -> list[str]:
        """Return every difference as a line; *receipts* is the folder where the receipts lie."""
        return [
            *self.too_many(),
            *self.untrue(),
            *self.missing(),
            *self.missing_rows(),
            *self.wrong_receipts(receipts),
            *(f"an open job: {job}" for job in self.open_jobs()),
        ]

    def too_many(self) -> Iterator[str]:
        """Yield what is there twice: rows, versions, jobs."""
        for asset, rows in self.rows.items():
            if len(rows) > 1:
                yield f"{len(rows)} rows say the same: {asset}"
        dates = Counter(row["Observation_Date"] for row in self._tables["demo:Observation"])
        yield from (f"{count} observations of {date}" for date, count in dates.items() if count > 1)
        named = {row["URL"] for rows in self.rows.values() for row in rows}
        kept = {_object(file.asset) for file in self.files}
        for name, versions in self._versions.items():
            orphans = [url for url in versions if url not in named]
            if len(orphans) > (0 if name in kept else 1):
                yield f"versions that no row names: {orphans}"

    def untrue(self) -> Iterator[str]:
        """Yield rows that do not say what the object is."""
        known = {url for urls in self._versions.values() for url in urls}
        for rows in self.rows.values():
            for row in rows:
                if row["URL"] not in known:
                    yield f"no version is {row['URL']}"
                    continue
                content = self._api.content(row["URL"])
                if (hashlib.md5(content).hexdigest(), len(content)) != (row["MD5"], row["Length"]):
                    yield f"other bytes than {row} says"

    def missing(self) -> Iterator[str]:
        """Yield files without a row, and rows without link or type."""
        for file in self.files:
            rows = self.rows.get(file.asset, [])
            if not rows:
                yield f"no row: {file}"
            table = file.asset.table.partition(":")[2]
            for row in rows[:1]:
                links = self._of(f"{file.asset.table}_Execution", table, row["RID"])
                if [link["Asset_Role"] for link in links if link["Execution"] == file.rid] != [
                    "Output"
                ]:
                    yield f"not linked once: {file}"
                types = self._of(f"{file.asset.table}_Asset_Type", table, row["RID"])
                if not file.types <= {link["Asset_Type"] for link in types}:
                    yield f"not of its type: {file}"

    def missing_rows(self) -> Iterator[str]:
        """Yield lines of tables and features that have no row."""
        names = {row["Name"] for row in self._tables["demo:Subject"]}
        visits = {
            (row["Subject"], row["Observation_Date"]) for row in self._tables["demo:Observation"]
        }
        values = {
            (row["Execution"], row["Image"]): row["Image_Quality"]
            for row in self._tables["demo:Execution_Image_Quality"]
        }
        rids = {(file.rid, file.path): self.rows.get(file.asset) for file in self.files}
        for root in self._roots:
            for line in _csv(root / "table/demo/Subject/Subject.csv"):
                if line["Name"] not in names:
                    yield f"no subject: {root.name} {line}"
            for line in _csv(root / "table/demo/Observation/Observation.csv"):
                if (line["Subject"], line["Observation_Date"]) not in visits:
                    yield f"no observation: {root.name} {line}"
            judged = root / "feature/demo/Image/Quality/Quality.jsonl"
            for text in judged.read_text().splitlines() if judged.exists() else ():
                line = json.loads(text)
                rows = rids[root.name, line["Image"]] or [{"RID": None}]
                if values.get((root.name, rows[0]["RID"])) != line["Image_Quality"]:
                    yield f"no value: {root.name} {line}"

    def wrong_receipts(self, receipts: Path) -> Iterator[str]:
        """Yield files that the receipts do not speak of as the server does."""
        for root in self._roots:
            kept = next(receipts.glob(f"*/{root.name}.json"), None)
            receipt = json.loads(kept.read_text()) if kept else {"files": [], "left": []}
            lines = {
                path: line
                for line in receipt["files"]
                for path in (line["file"], *line.get("links", ()))  # two names of one asset
            }
            for each in receipt["left"]:
                if (root / each["path"]).exists():
                    yield f"left, says the receipt of {root.name}: {each}"
            for file in self.files:
                if file.rid != root.name:
                    continue
                line = lines.get(file.path, {})
                rows = self.rows.get(file.asset) or [{"RID": None, "URL": None}]
                said = line.get("rid"), line.get("object"), line.get("md5")
                if said != (rows[0]["RID"], rows[0]["URL"], file.asset.md5):
                    yield f"the receipt says {line} of {file}, the server {rows[0]}"

    def open_jobs(self) -> list[str]:
        """Return the upload jobs that nobody has finished or cancelled."""
        jobs = []
        with self._api.session() as session:
            for name in self._versions:
                answer = session.get(f"{self._api.url}{name};upload")
                jobs += answer.json() if answer.ok else []
        return jobs

    def _of(self, table, column, rid):
        return [row for row in self._tables[table] if row[column] == rid]


def _object(asset: Asset) -> str:
    table, name = asset.table.partition(":")[2], quote(asset.name, safe="")
    return f"/hatrac/{table}/{asset.md5}.{name}"


def _csv(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []
