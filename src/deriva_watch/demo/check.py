"""What the server holds against what was written: every answer is the server's own."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deriva_watch.core.completeness.observation import RECEIPT_NAME
from deriva_watch.core.layout import MANIFEST
from deriva_watch.demo.layouts import BATCH, Flat
from deriva_watch.demo.producer import Run, Written
from deriva_watch.demo.script import WORKFLOW
from deriva_watch.demo.server import Row, Server

Fact = tuple[str, ...]

_UNTOLD: Final = {"RID", "RCT", "RMT", "RCB", "RMB", "URL"}  # what no file says of its row
_LINKED: Final = ("Execution", "Asset_Type")  # an asset's row is linked to these
_NAMED: Final = 3  # so many differences are told


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer: `found` is `expected` where all is well."""

    name: str
    expected: str
    found: str

    @property
    def passed(self) -> bool:
        """All is well."""
        return self.expected == self.found


def compare(name: str, noun: str, expected: Iterable[Fact], found: Iterable[Fact]) -> Check:
    """Compare two bags of facts; what differs is named."""
    wanted, there = Counter(expected), Counter(found)
    text = f"{wanted.total()} {noun}"
    differences = [f"missing: {' '.join(fact)}" for fact in (wanted - there).elements()]
    differences += [f"not expected: {' '.join(fact)}" for fact in (there - wanted).elements()]
    if not differences:
        return Check(name, text, text)
    more = [f"and {len(differences) - _NAMED} more"] if len(differences) > _NAMED else []
    return Check(name, text, f"{there.total()}; " + "; ".join(differences[:_NAMED] + more))


class Inventory:
    """What the server holds of the files of *runs*, read once."""

    def __init__(self, server: Server, runs: Sequence[Run]) -> None:
        self._server = server
        self._runs = runs
        self._files = [(run, file) for run in runs for file in run.files]
        self._tables = sorted({str(file.asset.table) for _, file in self._files})
        self._rows = {table: server.rows(table) for table in self._tables}
        self._links, self._types = (
            {table: server.rows(f"{table}_{other}") for table in self._tables} for other in _LINKED
        )
        self._versions = [v for table in self._tables for v in server.versions(_short(table))]
        self._names: dict[str, str] = {
            row["RID"]: _name(row["Filename"], row["MD5"])
            for rows in self._rows.values()
            for row in rows
        }
        self._executions = server.rows("deriva-ml:Execution")
        self._rids = {id(run): self._rid(run) for run in runs}

    def figures(self) -> dict[str, int]:
        """Return what there is, counted on the server; files and bytes as they were written."""
        return {
            "executions": len(self._runs),
            "files": len(self._files),
            "bytes": sum(file.size_bytes for _, file in self._files),
            "objects": len(self._versions),
            "rows": _count(self._rows),
            "links": _count(self._links) + _count(self._types),
        }

    def checks(self, requests: Path, kept: Path) -> Iterator[Check]:
        """Ask everything.

        Args:
            requests: The server's log of requests.
            kept: The folder in which the daemon keeps receipts.
        """
        yield self._contents()
        yield self._objects()
        yield self._asset_rows()
        yield self._execution_links()
        yield self._type_links()
        yield self._statuses()
        yield self._other_tables()
        yield self._patience(requests)
        yield self._receipts(kept)
        yield self._manifests()

    def _contents(self) -> Check:
        expected = {(file.asset.name, file.sha256.hexdigest()) for _, file in self._files}
        found = [
            (row["Filename"], self._server.sha256(row["URL"]))
            for rows in self._rows.values()
            for row in rows
        ]
        return compare("contents", "objects with the SHA-256 of their files", expected, found)

    def _objects(self) -> Check:
        expected = [(row["URL"],) for rows in self._rows.values() for row in rows]
        found = [(version,) for version in self._versions]
        return compare("objects", "object versions, one for each row", expected, found)

    def _asset_rows(self) -> Check:
        expected = {_fact(str(file.asset.table), _told(file)) for _, file in self._files}
        found = [_fact(table, row) for table, rows in self._rows.items() for row in rows]
        return compare("rows", "rows with name, length, MD5, metadata, text", expected, found)

    def _execution_links(self) -> Check:
        expected = {
            (str(file.asset.table), _named(file), self._rids[id(run)], "Output")
            for run, file in self._files
        }
        found = [
            (table, self._asset(table, link), link["Execution"], link["Asset_Role"])
            for table, links in self._links.items()
            for link in links
        ]
        return compare("executions", "links of files to executions", expected, found)

    def _type_links(self) -> Check:
        expected = {
            (str(file.asset.table), _named(file), kind)
            for _, file in self._files
            for kind in file.asset.types
        }
        found = [
            (table, self._asset(table, link), link["Asset_Type"])
            for table, links in self._types.items()
            for link in links
        ]
        return compare("asset types", "links of files to asset types", expected, found)

    def _statuses(self) -> Check:
        expected = [(self._rids[id(run)], WORKFLOW, run.script.status_after) for run in self._runs]
        found = [(row["RID"], str(row["Workflow"]), str(row["Status"])) for row in self._executions]
        return compare("status", "executions, Uploaded where they were Stopped", expected, found)

    def _patience(self, requests: Path) -> Check:
        """Look when the server first heard of each file: its execution had ended by then."""
        log = requests.read_bytes()
        names = Counter(file.asset.name for _, file in self._files)
        alone = [(run, file) for run, file in self._files if names[file.asset.name] == 1]
        expected = [(run.rid, file.asset.name, "after") for run, file in alone]
        found = [(run.rid, file.asset.name, _heard(log, file, run.heard)) for run, file in alone]
        return compare("patience", "files sent only after their run had ended", expected, found)

    def _other_tables(self) -> Check:
        """Look for rows that are younger than our first execution, and nobody's."""
        since = min(row["RCT"] for row in self._executions)
        ours = {"deriva-ml:Execution", *self._tables}
        ours |= {f"{table}_{other}" for table in self._tables for other in _LINKED}
        found = [
            (table, row["RID"])
            for table in self._server.tables()
            if table not in ours
            for row in self._server.rows(table)
            if row["RCT"] >= since
        ]
        return compare("other tables", "new rows", [], found)

    def _receipts(self, kept: Path) -> Check:
        expected = [
            (run.rid, file.name, file.md5.hexdigest(), row["RID"], row["URL"])
            for run, file in self._files
            for row in self._rows_of(file)
        ]
        found = [
            (run.rid, line["file"], line["md5"], line["rid"], line["object"])
            for run in self._runs
            for path in _receipts_of(run, kept)
            for line in _read(path).get("files", [])
        ]
        return compare("receipts", "files in receipts, as the server has them", expected, found)

    def _manifests(self) -> Check:
        """Look what was written back for the programs that described their files there."""
        expected = [
            (run.rid, file.name, row["RID"], "uploaded")
            for run, file in self._files
            if isinstance(run.script.layout, Flat)
            for row in self._rows_of(file)
        ]
        found = [
            (run.rid, f"assets/{key}", str(entry["rid"]), entry["status"])
            for run in self._runs
            for key, entry in _read(run.root / MANIFEST).get("assets", {}).items()
        ]
        return compare("manifests", "entries with the RID of their rows", expected, found)

    def _rows_of(self, file: Written) -> list[Row]:
        wanted = (file.asset.name, file.md5.hexdigest())
        rows = self._rows[str(file.asset.table)]
        return [row for row in rows if (row["Filename"], row["MD5"]) == wanted]

    def _asset(self, table: str, link: Row) -> str:
        rid = str(link[_short(table)])
        return self._names.get(rid, rid)

    def _rid(self, run: Run) -> str:
        """Return the RID of its Execution: what a drop folder made is known by its description."""
        if not run.script.layout.unit:
            return run.rid
        title = run.script.title
        made = [row["RID"] for row in self._executions if row["Description"] == title]
        return made[0] if len(made) == 1 else f"({len(made)} executions {title!r})"


def _named(file: Written) -> str:
    return _name(file.asset.name, file.md5.hexdigest())


def _name(name: str, md5: str) -> str:
    """Return what tells files apart: those of two cycles have the same name."""
    return f"{name} ({md5[:8]})"


def _told(file: Written) -> dict[str, Any]:
    """Return the row that a file must have."""
    asset = file.asset
    about = {"Filename": asset.name, "Length": file.size_bytes, "MD5": file.md5.hexdigest()}
    return {**about, "Description": asset.text, **asset.metadata}


def _fact(table: str, row: Mapping[str, Any]) -> Fact:
    values = sorted(row.items())
    return table, *(f"{k}={v}" for k, v in values if k not in _UNTOLD and v is not None)


def _heard(log: bytes, file: Written, end: int) -> str:
    """Return when a log of requests first names a file: before or after its byte *end*."""
    at = log.find(quote(file.asset.name, safe="").encode())
    return "never" if at < 0 else "before" if at < end else "after"


def _receipts_of(run: Run, kept: Path) -> list[Path]:
    """Return where its receipt lies: a batch has no folder of its own, and no known name."""
    if run.rid == BATCH:
        return sorted(kept.glob(f"*/{BATCH}*.json"))
    return [run.root / RECEIPT_NAME]


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no such file."""
    document: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return document


def _short(table: str) -> str:
    return table.partition(":")[2]


def _count(rows: Mapping[str, Sequence[Row]]) -> int:
    return sum(map(len, rows.values()))
