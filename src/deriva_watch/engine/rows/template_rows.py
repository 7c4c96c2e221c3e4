"""Uploads files whose mapping has templates for finding, inserting and updating rows.

The order is that of deriva-py's uploader: names, object, record. Finding and writing a record is
one step of the catalog writer, so that two files never make the same row twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from deriva_watch.core.changes import NoteFile
from deriva_watch.core.errors import RefusedError, TransientError
from deriva_watch.core.model import SYSTEM_COLUMNS
from deriva_watch.core.names import SENDING
from deriva_watch.core.plan.plan import AssetPlan
from deriva_watch.core.records import FileFacts
from deriva_watch.core.rows.adoption import natural_key, rid_order
from deriva_watch.core.rows.row_update import differences, replaced, unsafe
from deriva_watch.core.spec.mapping import AssetMapping
from deriva_watch.core.spec.templates import query, row
from deriva_watch.core.states import FileState, FileTrigger
from deriva_watch.core.values import check
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.files.files import Files, Step
from deriva_watch.engine.naming import Naming, known_names
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import Move, UnitUpload

REMEDY: Final = "Correct the specification or the row, then `deriva-watch retry RID`."


@dataclass(frozen=True, slots=True)
class TemplateRows:
    """Uploads files by the templates of their mappings."""

    catalog: Catalog
    writer: CatalogWriter
    files: Files
    naming: Naming
    call_retry: CallRetry

    def bring(self, upload: UnitUpload, paths: Sequence[str]) -> None:
        """Upload hashed files as far as possible; *upload* has the results."""
        for path in upload.in_state(paths, FileState.HASHED, FileState.STORED):
            if upload.records[path].names is None:  # hashed when its mapping had fewer names
                upload.change(path)
        hashed = upload.in_state(paths, FileState.HASHED)
        first = [p for p in hashed if upload.assets[p].match.mapping.create_record_first]
        self._each(upload, first, self._begin_record)
        self.files.store(upload, upload.in_state(paths, FileState.HASHED))
        self._each(upload, upload.in_state(paths, FileState.STORED), self._record)

    def _each(self, upload: UnitUpload, paths: Sequence[str], step: Step) -> None:
        """Do one step for many files; one that fails does not stop the others."""
        for path in paths:
            move = self.files.attempt(upload, step, path)
            upload.commit([move] if move else [])

    def _begin_record(self, upload: UnitUpload, path: str) -> None:
        """Make sure that the row exists before the object, and read its values."""
        found, _ = self._written(upload, path, finding_is_enough=True)
        record = upload.records[path]
        known = known_names(upload.assets[path], record)
        more = {name: value for name, value in found.items() if name not in known}
        self._keep(upload, path, more)

    def _record(self, upload: UnitUpload, path: str) -> Move:
        found, inserted = self._written(upload, path)
        asset = upload.assets[path]
        known = found | known_names(asset, upload.records[path])
        self.naming.finish(upload, asset, known)
        facts: FileFacts = {"rid": found.get("RID"), "adopted": not inserted}
        if asset.match.mapping.create_record_first:
            facts["adopted"] = False
        return Move(path, FileTrigger.RECORDED, facts)

    # ------------------------------------------------------------------ the row

    def _written(
        self, upload: UnitUpload, path: str, *, finding_is_enough: bool = False
    ) -> tuple[Row, bool]:
        """Return the inserted or updated row of a file, and whether it was inserted."""

        def write() -> tuple[Row, bool]:
            found = self._found(upload, path)
            if found is None:
                return self._inserted(upload, path)
            if not finding_is_enough:
                self._update(upload, path, found)
            return found, False

        return self.call_retry(f"write the row of {path}", lambda: self.writer.run(write))

    def _found(self, upload: UnitUpload, path: str) -> Row | None:
        asset = upload.assets[path]
        template = asset.match.mapping.record_query or ""
        rows = self.catalog.query(query(template, known_names(asset, upload.records[path])))
        return rows[0] if rows else None

    def _inserted(self, upload: UnitUpload, path: str) -> tuple[Row, bool]:
        """Insert a row; if it has no natural key and may exist, look for it first."""
        asset, table = upload.assets[path], upload.model.name_to_table(upload.assets[path].table)
        made, given = self._row(upload, path, {}), self._given_rid(asset)
        made = {c: v for c, v in made.items() if c not in SYSTEM_COLUMNS} | given
        if not given and natural_key(table, made) is None:
            if (upload.records[path].names or {}).get(SENDING):  # the answer was lost
                same = self.catalog.rows_where(table.full_name, made)
                if same:
                    return min(same, key=lambda each: rid_order(each["RID"])), True
            self._keep(upload, path, {SENDING: True})
        inserted = self.catalog.insert(table.full_name, [made], given_rids=bool(given))
        if not inserted:
            raise RefusedError(
                f"cannot record {path}",
                f"{table.full_name} has a row with the same key that its record_query_template "
                "does not find",
                REMEDY,
            )
        return inserted[0], True

    def _given_rid(self, asset: AssetPlan) -> Row:
        """Return the RID in the path, if the row may use it."""
        rid = asset.given_rid
        if rid is None or "RID" not in asset.match.mapping.column_map:
            return {}
        return {"RID": rid} if rid in self.catalog.claimable([rid]) else {}

    def _update(self, upload: UnitUpload, path: str, found: Row) -> None:
        """Update a row with the values that the column map gives for the file."""
        asset, record = upload.assets[path], upload.records[path]
        mapping, table = asset.match.mapping, upload.model.name_to_table(asset.table)
        new = self._row(upload, path, found)
        changed = differences(table, mapping, found, new)
        if not changed:
            return
        if mapping.require_record_update and not mapping.record_update:
            why = "its row has other values; only a record_update_template may change them"
            raise RefusedError(f"cannot record {path}", why, REMEDY)
        if mapping.record_update:
            known = found | known_names(asset, record)
            self._replace(path, query(mapping.record_update, known), new)
            return
        if mapping.general.strict_update and unsafe(table, mapping, found):
            why = (
                f"row {found.get('RID')} differs in {', '.join(changed)}, and the column map has "
                "no unique key without NULL by which it could be found again"
            )
            raise RefusedError(f"cannot record {path}", why, REMEDY)
        columns = replaced(table, mapping, found, new, changed)
        if not self.catalog.replace(table.full_name, *columns):
            why = f"row {found.get('RID')} was changed by somebody else meanwhile"
            raise TransientError(f"cannot record {path}", why)

    def _replace(self, path: str, template: str, new: Row) -> None:
        if not self.catalog.put(template, [new]):
            why = f"the record_update_template, {template}, finds no row to update"
            raise RefusedError(f"cannot record {path}", why, REMEDY)

    def _row(self, upload: UnitUpload, path: str, found: Row) -> Row:
        """Return the row of a file; values that its names lack come from the *found* row."""
        asset = upload.assets[path]
        table = upload.model.name_to_table(asset.table)
        made = row(asset.match, found | known_names(asset, upload.records[path]))
        try:
            made = {column: check(table.column[column], value) for column, value in made.items()}
        except ValueError as error:
            raise RefusedError(f"cannot record {path}", str(error), REMEDY) from None
        empty = _may_be_empty(asset.match.mapping) if found else frozenset()
        return dict.fromkeys(empty) | made

    def _keep(self, upload: UnitUpload, path: str, more: dict[str, Any]) -> None:
        """Write more names of a file to the journal."""
        record = upload.records[path]
        names = {**(record.names or {}), **more}
        if names != record.names:
            upload.journal.commit([NoteFile(record.id, {"names": names})])
            upload.records[path] = replace(record, names=names)


def _may_be_empty(mapping: AssetMapping) -> frozenset[str]:
    return mapping.empty_on_update & mapping.column_map.keys()
