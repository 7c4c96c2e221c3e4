"""The programs and instruments: they write the files of executions at their times.

Paths come from `deriva_watch.library.staging`, as in any program that writes executions.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from deriva_watch.core.model import CatalogModel, read_model
from deriva_watch.demo.executions import BATCH, WORKFLOW, Execution, File, executions
from deriva_watch.demo.server import Server
from deriva_watch.library import staging

Step = tuple[float, Callable[[], None]]


@dataclass(slots=True)
class Run:
    """An execution that is being written.

    Attributes:
        execution: What is written.
        rid: The RID of its row; in a drop folder the name of its unit, or how that begins.
        prefix: The folder that is watched.
        model: The catalog's.
    """

    execution: Execution
    rid: str
    prefix: Path
    model: CatalogModel

    @property
    def root(self) -> Path:
        """The directory that its receipt names files from."""
        if not self.execution.unit:
            return staging.execution_root(self.prefix, self.rid)
        return self.prefix if self.rid == BATCH else self.prefix / self.rid

    def path(self, file: File) -> Path:
        """Return where a file is; create its directory."""
        layout, home = self.execution.layout, (self.prefix, self.rid)
        if layout == "tree":
            table = self.model.name_to_table(file.table)
            return staging.asset_file_path(*home, table, file.name, file.metadata)
        if layout == "flat":
            return staging.flat_asset_dir(*home, file.table.table) / file.name
        path = self.root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def below(self, file: File) -> str:
        """Return the path of a file below the root."""
        return self.path(file).relative_to(self.root).as_posix()

    def is_unit(self, prefix: str, rid: str) -> bool:
        """Return whether the journal's name of a unit means this one."""
        same = rid == self.rid or (self.rid == BATCH and rid.startswith(BATCH))
        return same and prefix == str(self.prefix)

    def append(self, file: File, number: int) -> None:
        """Write a part of a file; before the first, describe it where its path does not."""
        if number == 0 and self.execution.layout == "flat":
            self._add_to_manifest(file)
        if number == 0 and self.execution.layout == "tree":
            table = self.model.name_to_table(file.table)
            path = staging.asset_type_path(self.prefix, self.rid, table)
            with path.open("a") as lines:
                lines.write(json.dumps({file.name: file.types}) + "\n")
        with self.path(file).open("ab") as stream:
            stream.write(file.part(number))

    def _add_to_manifest(self, file: File) -> None:
        """Replace the manifest by one that has *file* too: nobody reads half of one."""
        path = staging.manifest_path(self.prefix, self.rid)
        empty: dict[str, Any] = {"version": 1, "execution_rid": self.rid, "assets": {}}
        manifest = json.loads(path.read_text()) if path.exists() else empty
        manifest["assets"][f"{file.table.table}/{file.name}"] = {
            "asset_table": file.table.table,
            "schema": file.table.schema,
            "asset_types": file.types,
            "metadata": file.metadata,
            "description": file.description,
            "status": "pending",
            "rid": None,
        }
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(manifest, indent=1))
        draft.replace(path)


def begin(server: Server, root: Path) -> list[Run]:
    """Create the folders in *root*, and the Executions of programs that know deriva-ml."""
    planned, model = executions(), read_model(server.schema())
    rows = [
        {"Workflow": WORKFLOW, "Description": each.title, "Status": each.status}
        for each in planned
        if not each.unit
    ]
    rids = (row["RID"] for row in server.insert("deriva-ml:Execution", rows))
    for each in planned:
        (root / each.folder).mkdir(exist_ok=True)
    return [Run(each, each.unit or next(rids), root / each.folder, model) for each in planned]


def steps(server: Server, runs: Sequence[Run]) -> list[Step]:
    """Return the steps of the programs of *runs*, with their times, in order."""
    found: list[Step] = [
        (at_s, partial(run.append, file, number))
        for run in runs
        for file in run.execution.files
        for number, at_s in enumerate(file.times_s)
    ]
    found += [(run.execution.end_s, partial(_end, server, run)) for run in runs]
    return sorted(found, key=itemgetter(0))


def _end(server: Server, run: Run) -> None:
    if run.execution.done == "Stopped":
        server.set_status(run.rid, "Stopped")
    elif run.execution.done:
        (run.root / run.execution.done).touch()
