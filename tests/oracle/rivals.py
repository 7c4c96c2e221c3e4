"""Both uploaders before one tree and one spec, each with a fresh server."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from deriva_watch.commands.upload import uploading
from deriva_watch.core.layout import LOOSE
from deriva_watch.core.unit import Unit
from deriva_watch.settings.model import Settings
from oracle.case import Case
from oracle.end_state import NOTHING, EndState, differences, end_state
from oracle.forks import Forks
from oracle.lab import write_lab
from running import Api, write_files

_HERE = Path(__file__).parent
Sections = Mapping[str, Mapping[str, Any]]  # of the settings


@dataclass(frozen=True)
class Outcome:
    """What an uploader made of a tree.

    Attributes:
        states: What became of every file that it took or refused, by path: deriva-py's words
            ("Success", "Failed", ...) or the journal's ("linked", "refused", ...).
        says: What it says of them.
        detail: All that it told.
        end: What the server then holds.
    """

    states: dict[str, str]
    says: dict[str, str]
    detail: dict[str, Any]
    end: EndState = NOTHING

    @property
    def brought(self) -> set[str]:
        """The files that it says it has brought in."""
        return {path for path, state in self.states.items() if state in {"Success", "linked"}}

    @property
    def passed_over(self) -> set[str]:
        """The files that no mapping takes."""
        return {path for path, state in self.states.items() if state in {"Skipped", "unmatched"}}


class Rivals:
    """The two, and the servers they get. Give every try a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()
        self._servers = Forks(_HERE / "serving.py", folder / "serving")
        self._history = Forks(_HERE / "witness.py", folder / "witness")
        self._lab = write_lab(folder)

    def close(self) -> None:
        """End all processes."""
        self._history.close()
        self._servers.close()

    def folder(self) -> Path:
        """Return a new folder."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def server(self, folder: Path, **more: Any) -> dict[str, Any]:
        """Start a fresh server; *more* as `sandbox`, such as `faults`."""
        return self._servers.ask(data=folder / "data", **self._lab, **more)

    def theirs(self, ready: Mapping[str, Any], tree: Path, spec: Path, **more: Any) -> Outcome:
        """Let deriva-py upload a tree."""
        told = self._history.ask(ready=ready, tree=tree, spec=spec, **more)
        states = {path: each["state"] for path, each in told["files"].items()}
        says = {path: each["says"] for path, each in told["files"].items()}
        states |= dict.fromkeys(told["skipped"], "Skipped")
        return Outcome(states, says, told)

    def ours(
        self, ready: Mapping[str, Any], tree: Path, spec: Path, folder: Path, sections: Sections
    ) -> Outcome:
        """Upload a tree with our engine, by the journal in *folder*."""
        events: list[Any] = []
        settings = _settings(ready, tree, spec, folder, sections)
        stop = threading.Event()
        with uploading(settings, events.append, stop, lambda *_: None) as one_shot:
            brought = one_shot.upload(Unit(tree, LOOSE))
            files = one_shot.journal.files(brought.record.id)
        files = [file for file in files if (tree / file.path).exists()]  # not of earlier stages
        states = {file.path: file.state.value for file in files}
        says = {file.path: f"{file.what}: {file.why}" for file in files if file.why}
        detail = {"record": brought.record, "events": events}
        return Outcome(states, says, detail)

    def both(self, case: Case, *, one_journal: bool = False) -> tuple[Outcome, Outcome]:
        """Let each upload the same trees, from the same place on disk.

        With *one_journal* we remember one stage in the next; deriva-py remembers nothing that it
        brought in.
        """
        folder = self.folder()
        tree, file = folder / "tree", folder / "spec.json"
        file.write_text(json.dumps(case.spec).replace("@TREE@", str(tree)))
        more = {"border": case.border} if case.border else {}
        made = []
        for name in ("theirs", "ours"):
            ready = self.server(folder / name)
            for table, rows in case.rows.items():
                for row in rows:  # one by one: their RIDs are in order
                    Api(ready).insert(table, row)
            for number, stage in enumerate(case.stages):
                root = write_files(tree, stage)
                if name == "theirs":
                    outcome = self.theirs(ready, root, file, **more)
                else:
                    state = folder / f"state-{0 if one_journal else number}"
                    outcome = self.ours(ready, root, file, state, case.sections)
                shutil.rmtree(root)
            made.append(replace(outcome, end=end_state(ready)))
            os.kill(ready["pid"], signal.SIGTERM)  # thousands of tries must not leave as many
        return made[0], made[1]


def _settings(
    ready: Mapping[str, Any], tree: Path, spec: Path, folder: Path, sections: Sections
) -> Settings:
    folder.mkdir(exist_ok=True)
    given = {
        "server": {
            "host": ready["host"],
            "catalog": ready["catalog"],
            "protocol": "http",
            "credential_file": ready["owner_credential_file"],
        },
        "spec": {"source": "file", "file": spec},
        "files": {"ignore": [".deriva-upload-state-*"]},
        "retry": {"initial_s": 0.01, "max_s": 0.05},
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
    }
    merged = {key: given.get(key, {}) | sections.get(key, {}) for key in given | sections}
    return Settings(**merged, watch=[{"prefix": tree}])


def explained(theirs: Outcome, ours: Outcome) -> str:
    """Return all differences, and what both say of the files; empty where there are none."""
    lines = differences(theirs.end, ours.end)
    if theirs.brought != ours.brought:
        lines.append(f"brought in\n  theirs {theirs.states}\n  ours   {ours.states}")
    if theirs.passed_over != ours.passed_over:
        lines.append(f"passed over\n  theirs {theirs.states}\n  ours   {ours.states}")
    if lines:
        lines += [f"theirs says {theirs.says}", f"ours says {ours.says}"]
        lines.append(f"ours is {ours.detail['record'].state}: {ours.detail['record'].why}")
    return "\n".join(lines)
