"""Executions that deriva-ml itself wrote; `tests/data/samples/README.md` tells what is kept."""

import hashlib
import json
import shutil
import sqlite3
from base64 import b64encode
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "samples"
CATALOG = "15"  # of all samples
PLACE = "@PREFIX@"  # stands for the root in texts with absolute paths


@dataclass(frozen=True)
class Sample:
    """One execution, before or after deriva-ml prepared (`staged`) its own upload.

    Its name begins with the version of deriva-ml where that is not the seed's.
    """

    name: str
    staged: bool = False

    @cached_property
    def case(self):
        """The execution, its links and what is generated."""
        return json.loads((FOLDER / self.name / "case.json").read_text())

    @cached_property
    def expected(self):
        """What deriva-ml's own upload left."""
        return json.loads((FOLDER / self.name / "expected.json").read_text())

    @property
    def rid(self):
        """The RID of the execution."""
        return self.case["execution"]

    @property
    def version(self):
        """What all cases of one version share lies here."""
        return (FOLDER / self.name).parent

    @property
    def prefix(self):
        """The prefix, below the root."""
        return self.case.get("prefix", "data")

    @property
    def directory(self):
        """Where the execution lies, below the root."""
        return Path(self.prefix, "deriva-ml", "execution", self.rid)

    @property
    def status(self):
        """The status before the upload, in the workspace and in the catalog."""
        before = self.expected["status"][0]
        return "Stopped" if before == "Pending_Upload" and not self.staged else before

    def content(self, name):
        """Return the bytes of an Execution_Asset."""
        assets = FOLDER / self.name / "tree" / self.directory / "assets"
        return (assets / "Execution_Asset" / name).read_bytes()

    def rows(self, holder):
        """Return the rows of the catalog before the upload; *holder* has leased the RIDs."""
        files = self.version / "terms.json", FOLDER / self.name / "rows.json"
        parts = [part for file in files for part in json.loads(file.read_text())]
        executions = next(p["rows"] for p in parts if p["table"] == "deriva-ml:Execution")
        next(row for row in executions if row["RID"] == self.rid)["Status"] = self.status
        leased = self.staged or self.case.get("leased")
        leases = [row | {"RCB": holder} for row in self.expected["leases"] if leased]
        return [*parts, {"table": "public:ERMrest_RID_Lease", "rows": leases}]

    def make(self, root, host):
        """Lay everything out below *root*, as deriva-ml left it on *host*."""
        shutil.copytree(FOLDER / self.name / "tree", root)
        for path, rule in self.case["generated"].items():
            (root / path).write_bytes(_generated(**rule))
        links = self.case["links"] | (self.case["staged_links"] if self.staged else {})
        for path, target in links.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(target)
        for path in root.rglob("*.jsonl"):
            path.write_text(path.read_text().replace(PLACE, str(root)))
        if not (FOLDER / self.name / "workspace.sql").exists():
            return  # the released versions have none
        script = "workspace-staged.sql" if self.staged else "workspace.sql"
        database = _workspace(root, host)
        database.parent.mkdir(parents=True)
        with closing(sqlite3.connect(database)) as connection:
            text = (FOLDER / self.name / script).read_text()
            connection.executescript(text.replace(PLACE, str(root)))
            connection.execute("PRAGMA journal_mode = WAL")  # as deriva-ml has it

    def store(self, api, root):
        """Put the objects there that deriva-ml stored when it made the execution."""
        files = [path for path in (root / self.directory).rglob("*") if path.is_file()]
        contents = {(path.name, _digest("md5", path).hex()): path for path in files}
        for part in json.loads((FOLDER / self.name / "rows.json").read_text()):
            for row in part["rows"]:
                if path := contents.get((row.get("Filename"), row.get("MD5"))):
                    url = f"{api.url}{row['URL'].rpartition(':')[0]}?parents=true"
                    digests = {
                        f"Content-{n}": b64encode(_digest(n, path)) for n in ("MD5", "SHA256")
                    }
                    headers = digests | {
                        "Content-Type": "application/octet-stream",
                        "Content-Disposition": f"filename*=UTF-8''{path.name}",
                    }
                    answer = api.call("PUT", url, data=path.read_bytes(), headers=headers)
                    told = {"RID": row["RID"], "URL": answer.headers["Location"]}
                    there = f"{api.catalog}/attributegroup/{part['table']}/RID;URL"
                    api.call("PUT", there, json=[told])


def workspace_says(root, host):
    """Return what the workspace has: {"Table/file": (status, RID)}, (status, sync_pending)."""
    if not _workspace(root, host).exists():
        return None
    with closing(sqlite3.connect(_workspace(root, host))) as database:
        rows = database.execute("SELECT key, status, rid FROM execution_state__assets")
        assets = {key: (status, rid) for key, status, rid in rows}
        query = "SELECT status, sync_pending FROM execution_state__executions"
        return assets, database.execute(query).fetchone()


def _workspace(root, host):
    folder = f"{host.rpartition(':')[0]}__{CATALOG}"
    return root / "data" / "catalogs" / folder / "working" / "main.db"


def _digest(name, path):
    return hashlib.new(name, path.read_bytes()).digest()


def _generated(seed, size):
    """Return *size* bytes: block i is the SHA-256 of "seed:i"."""
    blocks = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]
