"""The end of an upload: receipt, manifest, deriva-ml's workspace, Status of the Execution.

The files are in the catalog by then, so a failure to write one of these is a notice, never a
refusal. Only the receipt in the state directory must be written: without it the attempt fails.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.errors import RefusedError, ShortageError, TroubleError, UnusableSpecError
from deriva_watch.core.events import ReceiptWritten, StatusChanged
from deriva_watch.core.layout import LOOSE, MANIFEST
from deriva_watch.core.plan.plan import Plan
from deriva_watch.core.records import BatchRecord, ExecutionRecord, FileRecord
from deriva_watch.core.states import SAFE, FileState
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.disk.own_files import Beside
from deriva_watch.edges.disk.row_receipt import RowReceipt
from deriva_watch.edges.disk.workspace import Workspace
from deriva_watch.edges.server.spec_source import SpecSource
from deriva_watch.engine.ports import Catalog
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import UnitUpload
from deriva_watch.pipeline.ownership import workspace_of
from deriva_watch.pipeline.receipt_schema import line, software
from deriva_watch.pipeline.unit_paths import Directory, directory_of
from deriva_watch.settings.model import Settings

UPLOADED: Final = "Uploaded"
# The statuses that deriva-ml's own upload changes; it leaves every other one as it is.
_MOVED_FROM: Final = ("Stopped", "Pending_Upload")


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Writes receipts, writes results back to where the metadata came from, sets statuses."""

    catalog: Catalog
    writer: CatalogWriter
    settings: Settings
    specs: SpecSource
    server: str

    def finish(self, upload: UnitUpload, seen: Observation, plan: Plan, *, whole: bool) -> str:
        """Record how far the upload came, wherever others look for it.

        Args:
            upload: The upload, at its end.
            seen: What the plan was made from.
            plan: The plan.
            whole: Nothing is left to upload, so the Execution may become Uploaded.

        Returns:
            The digest of the directory as it is now, with the manifest that we may have written:
            our own change is no reason to upload again.
        """
        done = {path: r for path, r in upload.records.items() if r.state in SAFE}
        whole = whole and not plan.partial
        unit = self.settings.unit_of(upload.execution)
        is_execution = unit.is_execution
        workspace = workspace_of(unit, seen.owner, self.settings) if is_execution else None
        if workspace is None:
            if whole and is_execution:
                self._move_status(upload)
        elif self.settings.deriva_ml.write_back:
            self._write_back(upload, workspace, done, whole=whole)
        digest = self._update_manifest(upload, seen, done)
        self._keep_rows(upload, plan)
        if done:
            self._write_receipt(upload, seen, plan, done)
        return digest

    # ------------------------------------------------------------------ status

    def _move_status(self, upload: UnitUpload) -> bool:
        """Set Execution.Status to Uploaded, if the catalog has that term and nobody changed it."""
        verdict = upload.execution.verdict or {}
        if verdict.get("row_changed") and "catalog" not in verdict.get("status", {}):
            return False  # its row was read, and had no Status that anybody keeps
        row = self.catalog.execution(upload.execution.rid)
        if not row or row.get("Status") not in _MOVED_FROM or not self._is_term(upload):
            return False
        rid, old = upload.execution.rid, str(row["Status"])
        try:
            moved = self.writer.run(lambda: self.catalog.move_status(rid, old, UPLOADED))
        except RefusedError as error:
            upload.notice("Status", f"it stays {old}: {error.why}")
            return False
        if moved:
            upload.emit(StatusChanged(execution=rid, old=old, new=UPLOADED))
        return moved

    def _is_term(self, upload: UnitUpload) -> bool:
        execution = upload.model.ml_table("Execution")
        keys = execution.foreign_keys if execution else ()
        words = next((key.target for key in keys if key.columns == ("Status",)), None)
        return words is not None and UPLOADED in self.catalog.terms(words)

    def _write_back(
        self,
        upload: UnitUpload,
        workspace: Workspace,
        done: Mapping[str, FileRecord],
        *,
        whole: bool,
    ) -> None:
        """Write RIDs and status into deriva-ml's workspace, from which deriva-ml resumes."""
        rid, now = upload.execution.rid, datetime.now(UTC)
        try:
            rids = {
                asset.key: str(done[path].rid)
                for path, asset in upload.assets.items()
                if path in done
            }
            stages = [s for path, p in upload.rows.items() if path in done for s in p.stages]
            for key, other in workspace.write_back(rid, rids, now, stages).items():
                upload.notice(key, f"deriva-ml's workspace says that its RID is {other}")
            old = workspace.execution_status(rid)
            if (
                whole
                and old in _MOVED_FROM
                and workspace.set_status(rid, old, UPLOADED, sync_pending=True, now=now)
            ):
                self._move_status(upload)
                workspace.set_status(rid, UPLOADED, UPLOADED, sync_pending=False, now=now)
        except TroubleError as error:
            upload.notice("deriva-ml's workspace", f"it was not updated: {error.why}")

    # ------------------------------------------------------------------ files of our own

    def _update_manifest(
        self, upload: UnitUpload, seen: Observation, done: Mapping[str, FileRecord]
    ) -> str:
        entry = seen.entries.get(MANIFEST)
        if entry is None or upload.execution.unit or MANIFEST in seen.disbelieved:
            return seen.digest()
        if entry.kind is not Kind.CONTENT:  # the plan says what it is
            return seen.digest()
        news: dict[str, dict[str, Any]] = {
            asset.key: {"status": "uploaded", "rid": done[path].rid, "error": None}
            for path, asset in upload.assets.items()
            if path in done
        }
        for path, record in upload.records.items():
            if record.state is FileState.REFUSED:
                news[path.removeprefix("assets/")] = {"error": record.why}
        try:
            with self._directory(upload.execution).opened(seen) as folder:
                written = receipts.update_manifest(folder, entry, news)
        except (OSError, ValueError, KeyError, TypeError) as error:
            upload.notice(MANIFEST, f"status and RIDs are not written back: {error}")
            return seen.digest()
        if written is None:
            return seen.digest()
        return replace(seen, entries={**seen.entries, MANIFEST: written}).digest()

    def row_receipt(self, record: ExecutionRecord) -> RowReceipt:
        """Return the receipt that keeps the RIDs of rows without a key."""
        place, folder = self._directory(record), self.settings.state_directory
        name = receipts.kept_as(record)
        beside = Beside(place.root, place.opened, place.trusted)
        return RowReceipt.of(folder, self.server, name, beside)

    def _directory(self, record: ExecutionRecord) -> Directory:
        return directory_of(self.settings.unit_of(record), self.settings)

    def _keep_rows(self, upload: UnitUpload, plan: Plan) -> None:
        """Keep the RIDs of rows without a key: no query to the catalog can find them again."""
        receipt = self.row_receipt(upload.execution)
        try:
            if not receipt.write(_keyless(upload)):
                return
        except OSError as error:
            raise self._not_kept(upload, error) from error
        try:
            if _has_folder(upload.execution) and not plan.partial:
                receipt.leave_copy()
        except OSError as error:
            upload.notice("receipt", f"RIDs of rows have no copy beside the files ({error})")

    def _spec_digest(self, upload: UnitUpload) -> str | None:
        """Return the digest of the bulk spec, or of the settings of the drop folder."""
        drop = self.settings.unit_of(upload.execution).drop
        try:
            said = drop or self.specs.document(upload.model)
        except UnusableSpecError:
            return None  # its file was removed meanwhile
        text = str(drop) if drop else json.dumps(said, sort_keys=True)
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()

    def _not_kept(self, upload: UnitUpload, error: OSError) -> ShortageError:
        return ShortageError(
            f"cannot write the receipt of {upload.execution.label}",
            f"{error.strerror}: {error.filename}",
            f"Check {self.settings.state_directory} (room, rights); it is retried automatically.",
        )

    def _write_receipt(
        self, upload: UnitUpload, seen: Observation, plan: Plan, done: Mapping[str, FileRecord]
    ) -> None:
        execution, also = upload.execution, {a.path: list(a.also) for a in plan.assets if a.also}
        # Only the journal knows when each file reached its state.
        lines = [r for r in upload.journal.files(execution.id) if r.path in done]
        receipt = {
            "receipt": 1,
            "server": self.server,
            "execution": execution.links_to or execution.rid,
            "linked_to": execution.links_to,
            "unit": execution.rid if execution.unit else None,
            "prefix": execution.prefix,
            "directory": upload.disk.root.as_posix(),
            "host": platform.node(),
            "began_at": execution.changed_at.isoformat(),
            "written_at": datetime.now(UTC).isoformat(),
            "software": software(),
            "spec_sha256": self._spec_digest(upload),
            "verdict": execution.verdict,
            "files": [line(record, also.get(record.path, ())) for record in lines],
            "left": [
                {"path": path, "state": record.state, "why": record.why}
                for path, record in upload.records.items()
                if path not in done
            ],
            "notices": upload.notices,
        }
        folder = self.settings.state_directory
        try:
            kept = receipts.write_receipt(folder, self.server, receipts.kept_as(execution), receipt)
        except OSError as error:
            raise self._not_kept(upload, error) from error
        try:
            if _has_folder(execution) and not plan.partial:
                with self._directory(execution).opened(seen) as beside:
                    receipts.copy_receipt(beside, receipt)
        except OSError as error:
            upload.notice("receipt", f"no copy beside the files ({error}); it is {kept}")
        upload.emit(ReceiptWritten(execution=execution.rid, path=str(kept), files=len(done)))


def _has_folder(execution: ExecutionRecord) -> bool:
    """Return whether a copy of the receipt goes beside the files: the folder is this unit's alone.

    Nothing is written into a folder that other units share.
    """
    return execution.unit == "directory" or not (execution.unit or execution.rid == LOOSE)


def _keyless(upload: UnitUpload) -> Iterator[tuple[str, BatchRecord]]:
    """Yield the batches of all files that have rows without a key, with the path of each."""
    for path in upload.rows:
        if any(batch.rids for batch in upload.batches(path)):
            yield from ((path, batch) for batch in upload.batches(path))
