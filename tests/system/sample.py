"""Executions that deriva-ml itself wrote; `tests/data/samples/README.md` tells what is kept."""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "samples"
CATALOG = "15"  # of all samples


@dataclass(frozen=True)
class Sample:
    """One execution, before or after deriva-ml prepared (`staged`) its own upload."""

    name: str
    staged: bool

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
    def directory(self):
        """Where the execution lies, below the root."""
        return Path("data", "deriva-ml", "execution", self.rid)

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
        files = FOLDER / "terms.json", FOLDER / self.name / "rows.json"
        parts = [part for file in files for part in json.loads(file.read_text())]
        executions = next(p["rows"] for p in parts if p["table"] == "deriva-ml:Execution")
        next(row for row in executions if row["RID"] == self.rid)["Status"] = self.status
        leases = [row | {"RCB": holder} for row in self.expected["leases"] if self.staged]
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
        script = "workspace-staged.sql" if self.staged else "workspace.sql"
        database = _workspace(root, host)
        database.parent.mkdir(parents=True)
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript((FOLDER / self.name / script).read_text())
            connection.execute("PRAGMA journal_mode = WAL")  # as deriva-ml has it


def workspace_says(root, host):
    """Return what the workspace has: {"Table/file": (status, RID)}, (status, sync_pending)."""
    with closing(sqlite3.connect(_workspace(root, host))) as database:
        rows = database.execute("SELECT key, status, rid FROM execution_state__assets")
        assets = {key: (status, rid) for key, status, rid in rows}
        query = "SELECT status, sync_pending FROM execution_state__executions"
        return assets, database.execute(query).fetchone()


def _workspace(root, host):
    folder = f"{host.rpartition(':')[0]}__{CATALOG}"
    return root / "data" / "catalogs" / folder / "working" / "main.db"


def _generated(seed, size):
    """Return *size* bytes: block i is the SHA-256 of "seed:i"."""
    blocks = (hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in range(-(-size // 32)))
    return b"".join(blocks)[:size]
