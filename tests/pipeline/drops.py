"""A drop folder, and a daemon's looks at it without the daemon."""

import time
from pathlib import Path

from deriva_watch.core.completeness.policy import CompletionPolicy
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.states import ExecutionState
from deriva_watch.watch.inspector import Inspector
from engine.rig import Lab
from running import write_files

WORKFLOW = "1-W001"  # of the sandbox
POLICY = CompletionPolicy(quiet_s=0, quiet_max_s=0)


class DropLab(Lab):
    """A folder that an instrument drops images of a subject into.

    Args:
        drop: Keys of `[[drop]]` besides path, table, pattern and a look-up.
    """

    def __init__(self, folder, ready, **drop):
        super().__init__(folder, ready)
        self.path = folder / "drop"
        self.path.mkdir(parents=True, exist_ok=True)
        self.said = {
            "path": self.path,
            "table": "deriva-ml:Execution_Asset",
            "pattern": r"(?:[^/]+/)*[^/]+\.bin",
            "asset_types": ["Model_File"],
            "unit": "batch",
            "batch_s": 0.001,
            "quiet_s": 0,
            "workflow": WORKFLOW,
            "description": f"Dropped for {self.rid}",
            **drop,
        }
        self.said = {key: value for key, value in self.said.items() if value is not None}

    def drop(self, files):
        """Write *files*, contents by path below the drop folder."""
        return write_files(self.path, files)

    def rigged(self, who="owner", **options):
        """As `Lab.rigged`, with the drop folder."""
        return super().rigged(who, drop=(self.said,), **options)

    def executions(self):
        """Return the rows that were made for the units of this folder."""
        rows = self.api.rows("deriva-ml:Execution")
        return [row for row in rows if row["Description"] == self.said.get("description")]

    def linked(self):
        """Return which files are linked to which Execution of the folder: name → RIDs."""
        mine = {row["RID"] for row in self.executions()}
        names = {r["RID"]: r["Filename"] for r in self.api.rows("deriva-ml:Execution_Asset")}
        found = {}
        for link in self.api.rows("deriva-ml:Execution_Asset_Execution"):
            if link["Execution"] in mine:
                found.setdefault(names[link["Execution_Asset"]], []).append(link["Execution"])
        return found


class Instrument:
    """What a daemon does with a drop folder, a step at a time."""

    def __init__(self, rig, path, prehash=None):
        self.rig, self.path = rig, Path(path)
        self.inspector = Inspector.of(rig.parts, POLICY, prehash)

    def look(self, name=LOOSE):
        """Look at the folder, or at a unit of it, and at what that look asks for."""
        for unit in self.inspector.look(self.rig.settings.unit(self.path, name)).also:
            self.inspector.look(unit)

    def settle(self, name=LOOSE):
        """Look until a batch is closed."""
        self.look(name)
        time.sleep(0.005)
        self.look(name)

    def upload(self):
        """Take all that is ready through; return where the units stand, by name."""
        journal = self.rig.parts.journal
        while record := self.rig.journal.claim(self.rig.parts.server):
            self.rig.parts.attempts.process(record)
        return {unit.rid: unit.state.value for unit in journal.executions(prefix=str(self.path))}

    def bring(self, name=LOOSE):
        """Do as a daemon that begins: void claims, look, upload."""
        self.rig.journal.void_claims()
        self.settle(name)
        self.upload()
        for record in self.rig.journal.executions({ExecutionState.FILLING}):
            self.look(record.rid)
        return self.upload()

    def units(self):
        """Return the records of the folder's units."""
        return self.rig.journal.executions(prefix=str(self.path))
