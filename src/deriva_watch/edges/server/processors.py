"""The processors of a bulk spec: those of deriva-py's uploader and classes of the operator.

A spec may come from a catalog that others can change. So nothing is imported for it unless the
operator's list allows it, and no processor changes the tree that holds the data.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Protocol

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.json_text import read_json, read_whole
from deriva_watch.core.names import CONTENT_PATH, of_path
from deriva_watch.core.patterns import Pattern
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.spec.mapping import Match, Processor

# Run in a separate process: bagit changes the working directory, and bdbag writes its settings
# into HOME.
_MAKE_BAG: Final = """
import json, sys
from bdbag import bdbag_api
folder, kind = json.loads(sys.argv[1])
bdbag_api.make_bag(folder, update=True, idempotent=True)  # another attempt: the same bytes
print(json.dumps(bdbag_api.archive_bag(folder, kind, idempotent=True)))
"""


class _Disk(Protocol):
    """The directory that a bag is made from."""

    @property
    def root(self) -> Path: ...

    def open(self, entry: Entry) -> BinaryIO: ...


@dataclass(frozen=True, slots=True)
class SpecProcessors:
    """Runs processors; implements `engine.ports.Processors`.

    Attributes:
        allowed: `[spec] allowed_processors`.
        folder: A private folder where bags are made.
    """

    allowed: frozenset[str]
    folder: Path

    def run(
        self, processor: Processor, path: Path, match: Match, names: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return *names* as changed by the processor; RefusedError if it fails."""
        known = dict(names)
        try:
            if processor.built_in == "FileRenameProcessor":
                return known | _renamed(processor.params, path, known)
            if processor.built_in == "MetadataProcessor":
                self._check(processor)
                return known | _loaded(processor.params)
            if processor.built_in is None:
                return self._run_class(processor, path, match, known)
        except RefusedError:
            raise
        except Exception as error:  # code of others can raise anything
            raise _failed(processor, f"{type(error).__name__}: {error}") from error
        return known  # the others only write to deriva-py's log, or have been run before

    def _check(self, processor: Processor) -> str:
        """Return the processor's class in the operator's list; raise if it is not listed."""
        name = processor.type or processor.name
        if self.allowed.isdisjoint({name, processor.built_in}):
            raise _failed(processor, f"{name} is not listed in [spec] allowed_processors")
        return name

    def _run_class(
        self, processor: Processor, path: Path, match: Match, names: dict[str, Any]
    ) -> dict[str, Any]:
        module, _, name = self._check(processor).rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        output: dict[str, Any] = {}  # deriva-py would keep that of the first file
        one = kind(
            processor_params=dict(processor.params),
            file_path=str(path),
            asset_mapping=dict(match.mapping.entry),
            match_groupdict=dict.fromkeys(match.mapping.names) | dict(match.groups),
            metadata=names,
            processor_output=output,
        )
        one.process()
        made = output.get(CONTENT_PATH)
        return names | ({CONTENT_PATH: os.path.abspath(made)} if made else {})  # noqa: PTH100

    # ------------------------------------------------------------------ bags

    def bag(self, processor: Processor, disk: _Disk, asset: AssetPlan) -> Path:
        """Return a bag of a directory; the same files give the same bytes.

        It is made from copies: bdbag would move the files themselves.
        """
        place = self.folder / sha256(f"{disk.root}\0{asset.path}".encode()).hexdigest()[:24]
        shutil.rmtree(place, ignore_errors=True)
        copy = place / PurePosixPath(asset.path).name
        for entry in asset.members:
            target = copy / entry.path.removeprefix(f"{asset.path}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with disk.open(entry) as body, target.open("xb") as file:
                shutil.copyfileobj(body, file, 1024 * 1024)
            os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
            target.chmod(0o644)
        made = self._archive(processor, place, copy)
        shutil.rmtree(copy)
        return made

    def _archive(self, processor: Processor, place: Path, copy: Path) -> Path:
        told = json.dumps([str(copy), processor.params.get("format", "zip")])
        ran = subprocess.run(  # noqa: S603  # our own interpreter, and no shell
            [sys.executable, "-c", _MAKE_BAG, told],
            env={**os.environ, "HOME": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            why = (ran.stderr.strip() or "it ended without a message").rpartition("\n")[2]
            raise _failed(processor, f"the bag cannot be made: {why}")
        return Path(json.loads(ran.stdout.strip().rpartition("\n")[2]))

    def discard(self, names: Mapping[str, Any]) -> None:
        """Remove what `bag` made for a file; not what a class of the operator made."""
        made = names.get(CONTENT_PATH)
        if made and Path(made).parent.parent == self.folder:
            shutil.rmtree(Path(made).parent, ignore_errors=True)


def _renamed(params: Mapping[str, Any], path: Path, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return *names* with a new file name; the file itself is not renamed."""
    known: dict[str, Any] = {}
    if pattern := params.get("pattern"):
        found = Pattern(pattern).match(str(path))
        if found is None:
            raise ValueError(f"the pattern {pattern!r} does not match {path}")
        known |= found.groupdict()
    other = Path(os.path.realpath(params["replacement"].format_map(known | dict(names))))
    return of_path(str(other.parent), other.name, {})


def _loaded(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the JSON file named in *params*."""
    if not params.get("input_file"):
        return {}
    with Path(params["input_file"]).open("rb") as content:
        said = read_json(read_whole(content))
    if not isinstance(said, dict):
        raise TypeError(f"{params['input_file']} does not contain a JSON object")
    return said


def _failed(processor: Processor, why: str) -> RefusedError:
    then = "Fix it, or the specification that names it, then run `deriva-watch retry RID`."
    return RefusedError(f"the processor {processor.name} failed", why, then)
