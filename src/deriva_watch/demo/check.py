"""Compares what the server holds with what was written; it asks the server, not the daemon."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deriva_watch.core.completeness.observation import RECEIPT_NAME
from deriva_watch.core.layout import MANIFEST
from deriva_watch.demo.executions import BATCH, WORKFLOW, File
from deriva_watch.demo.server import Row, Server
from deriva_watch.demo.writer import Run

Facts = Iterable[tuple[Any, ...]]

_LINKS: Final = ("_Execution", "_Asset_Type")  # what an asset row is linked to
_OWN: Final = {"RID", "RCT", "RMT", "RCB", "RMB", "URL"}  # columns that the server decides
_NAMED: Final = 3  # so many differences are named


@dataclass(frozen=True, slots=True)
class Check:
    """A question and its answer; `found` equals `expected` if it passed."""

    name: str
    expected: str
    found: str

    @property
    def passed(self) -> bool:
        """The server holds what was expected."""
        return self.expected == self.found


def compare(name: str, noun: str, expected: Facts, found: Facts) -> Check:
    """Compare two collections of facts, in any order; name the first differences."""
    wanted, there = (
        Counter(" ".join(map(str, fact)) for fact in each) for each in (expected, found)
    )
    differences = [f"missing: {fact}" for fact in (wanted - there).elements()]
    differences += [f"not expected: {fact}" for fact in (there - wanted).elements()]
    if len(differences) > _NAMED:
        differences[_NAMED:] = [f"and {len(differences) - _NAMED} more"]
    text = f"{wanted.total()} {noun}"
    return Check(name, text, f"{there.total()}; {'; '.join(differences)}" if differences else text)


class Inventory:
    """What the server holds of the files of *runs*, read once."""

    def __init__(self, server: Server, runs: Sequence[Run]) -> None:
        self._server = server
        self._runs = runs
        self._files = [(run, file) for run in runs for file in run.execution.files]
        self._tables = sorted({str(file.table) for _, file in self._files})
        self._rows = self._read("")
        self._links, self._types = map(self._read, _LINKS)
        self._versions = [v for table in self._tables for v in server.versions(_short(table))]
        self._executions = server.rows("deriva-ml:Execution")
        self._rids = {id(run): self._rid(run) for run in runs}
        self._keys = {row["RID"]: _key(table, row) for table, row in self._rows}
        self._row = {_key(table, row): row for table, row in self._rows}

    def _read(self, suffix: str) -> list[tuple[str, Row]]:
        return [(t, row) for t in self._tables for row in self._server.rows(f"{t}{suffix}")]

    def _rid(self, run: Run) -> str:
        """Return the RID of its Execution; one that the daemon made is known by its description."""
        title = run.execution.title
        made = [row["RID"] for row in self._executions if row["Description"] == title]
        return made[0] if len(made) == 1 else f"({len(made)} executions {title!r})"

    def figures(self) -> dict[str, int]:
        """Count what was written (executions, files, bytes) and what the server has of it."""
        return {
            "executions": len(self._runs),
            "files": len(self._files),
            "bytes": sum(len(file.data) for _, file in self._files),
            "objects": len(self._versions),
            "rows": len(self._rows),
            "links": len(self._links) + len(self._types),
        }

    def checks(self, receipts: Path) -> Iterator[Check]:
        """Compare everything; the daemon keeps its receipts in the folder *receipts*."""
        yield from self._assets()
        yield from self._associations()
        yield from self._executions_and_others()
        yield from self._written_back(receipts)

    def _assets(self) -> Iterator[Check]:
        hashes = {(file.name, hashlib.sha256(file.data).hexdigest()) for _, file in self._files}
        stored = [(row["Filename"], self._server.sha256(row["URL"])) for _, row in self._rows]
        yield compare("contents", "objects with the SHA-256 of their files", hashes, stored)
        urls = [(row["URL"],) for _, row in self._rows]
        versions = [(version,) for version in self._versions]
        yield compare("objects", "object versions, one for each row", urls, versions)
        expected = {_row_fact(str(file.table), file.row) for _, file in self._files}
        rows = [_row_fact(table, row) for table, row in self._rows]
        yield compare("rows", "rows with name, length, MD5, metadata, text", expected, rows)

    def _associations(self) -> Iterator[Check]:
        """Look at the links of assets to executions, and to their types."""
        to_runs: Facts = [(*_file_key(f), self._rids[id(run)], "Output") for run, f in self._files]
        found: Facts = [
            (*self._asset(*x), x[1]["Execution"], x[1]["Asset_Role"]) for x in self._links
        ]
        yield compare("executions", "links of files to executions", to_runs, found)
        to_types: Facts = {(*_file_key(f), kind) for _, f in self._files for kind in f.types}
        found = [(*self._asset(*x), x[1]["Asset_Type"]) for x in self._types]
        yield compare("asset types", "links of files to asset types", to_types, found)

    def _asset(self, table: str, link: Row) -> tuple[str, str]:
        rid = str(link[_short(table)])
        return self._keys.get(rid, (table, rid))

    def _executions_and_others(self) -> Iterator[Check]:
        runs = [(self._rids[id(run)], WORKFLOW, run.execution.final_status) for run in self._runs]
        found = [(row["RID"], row["Workflow"], row["Status"]) for row in self._executions]
        yield compare("status", "executions, Uploaded where they were Stopped", runs, found)
        since = min(row["RCT"] for row in self._executions)  # older rows are not ours
        ours = {f"{table}{suffix}" for table in self._tables for suffix in ("", *_LINKS)}
        others = sorted(set(self._server.tables()) - ours - {"deriva-ml:Execution"})
        rows = [(table, row) for table in others for row in self._server.rows(table)]
        new = [(table, row["RID"]) for table, row in rows if row["RCT"] >= since]
        yield compare("other tables", "new rows", [], new)

    def _written_back(self, receipts: Path) -> Iterator[Check]:
        """Look at receipts, and at manifests, which the daemon updates."""
        files = [(r, r.below(f), f.md5, self._row.get(_file_key(f), {})) for r, f in self._files]
        expected: Facts = [
            (run.rid, path, md5, row.get("RID"), row.get("URL")) for run, path, md5, row in files
        ]
        lines = [(run.rid, x) for run in self._runs for x in _receipt(run, receipts)]
        found: Facts = [(rid, x["file"], x["md5"], x["rid"], x["object"]) for rid, x in lines]
        yield compare("receipts", "files in receipts, as the server has them", expected, found)
        flat = [each for each in files if each[0].execution.layout == "flat"]
        expected = [(run.rid, path, row.get("RID"), "uploaded") for run, path, _, row in flat]
        manifests = [(run.rid, _read(run.root / MANIFEST).get("assets", {})) for run in self._runs]
        entries = [(rid, key, x) for rid, assets in manifests for key, x in assets.items()]
        found = [(rid, f"assets/{key}", x["rid"], x["status"]) for rid, key, x in entries]
        yield compare("manifests", "entries with the RID of their rows", expected, found)


def _key(table: str, row: Row) -> tuple[str, str]:
    """Return a unique name: the base calls of all cycles have the same file name."""
    return table, f"{row['Filename']} ({row['MD5'][:8]})"


def _file_key(file: File) -> tuple[str, str]:
    return _key(str(file.table), file.row)


def _row_fact(table: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    values = sorted(row.items())
    return table, *(f"{k}={v}" for k, v in values if k not in _OWN and v is not None)


def _receipt(run: Run, receipts: Path) -> list[dict[str, str]]:
    """Return the files in its receipt; that of a batch is only in the folder of receipts."""
    batch = sorted(receipts.glob(f"*/{BATCH}*.json")) if run.rid == BATCH else []
    paths = batch or [run.root / RECEIPT_NAME]
    return [line for path in paths for line in _read(path).get("files", [])]


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty if there is no such file."""
    document: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return document


def _short(table: str) -> str:
    return table.partition(":")[2]
