"""The Execution of a unit of a drop folder: made exactly once, with the Status steps of deriva-ml.

Its RID is leased and written to the journal before the row is made. After a crash, the next attempt
looks for that row and makes no other.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from deriva_watch.core.changes import NoteExecution
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.events import ExecutionCreated, StatusChanged
from deriva_watch.core.model import CatalogModel, Table, TableName
from deriva_watch.core.records import ExecutionFacts
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.insertion import Insertion
from deriva_watch.engine.rows.workflows import workflow_column, workflow_value
from deriva_watch.engine.rows.writer import CatalogWriter
from deriva_watch.engine.unit_upload import UnitUpload

# The steps of deriva-ml; a catalog may lack some of these terms.
_CREATED, _SENDING, _DONE = "Created", "Pending_Upload", "Uploaded"
_WAY: Final = (_CREATED, "Running", "Stopped", _SENDING, _DONE)
_THEN: Final = ", then run `deriva-watch retry RID`"


@dataclass(frozen=True, slots=True)
class Executions:
    """Makes rows of Execution and sets their Status."""

    catalog: Catalog
    writer: CatalogWriter
    call_retry: CallRetry

    def begin(self, upload: UnitUpload, drop: Drop, before: str | None = None) -> None:
        """Make sure that the unit has its Execution, with the Status of a running upload.

        *before* is the RID of its Execution according to a receipt, if any.

        Raises RefusedError if it cannot be made: then nothing of the unit is sent.
        """
        table = _execution(upload)
        if before and self._there(table, before):
            self._note(upload, {"execution_rid": before})
        rid = upload.execution.execution_rid
        row = self._there(table, rid) if rid else None
        row = row or self._make(upload, drop, table, rid)
        if upload.execution.status_set is None:
            self._report_created(upload, table, row)
        self._walk(upload, table, row, _SENDING)

    def end(self, upload: UnitUpload) -> None:
        """Set the Status to uploaded: all of the unit is in the catalog."""
        table, rid = _execution(upload), upload.execution.execution_rid
        if rid and (row := self._there(table, rid)):
            self._walk(upload, table, row, _DONE)

    def has(self, upload: UnitUpload, rid: str, rids: Mapping[str, str]) -> bool:
        """Return whether all planned files have rows, with *rids* by path, linked to an Execution.

        The rows must say what the files would, so that no other row is made for them.
        """
        execution, tables = _execution(upload), {each.table for each in upload.assets.values()}
        there: dict[str, Row] = {}
        for table in tables:
            pair = upload.model.find_association(table, execution.full_name)
            if pair is None:
                return False
            links = self._rows(pair.table, pair.other, [rid])
            linked = {str(link[pair.own]) for link in links} & set(rids.values())
            there |= {row["RID"]: row for row in self._rows(table, "RID", linked)}
        rows = {path: there.get(rids.get(path, "")) for path in upload.assets}
        return all(row and upload.chosen(path, [row]) for path, row in rows.items())

    def _rows(self, table: TableName, column: str, values: Iterable[str]) -> list[Row]:
        return self.call_retry(
            f"GET {table}", lambda: self.catalog.rows_with(table, column, values)
        )

    # ------------------------------------------------------------------ the row

    def _lease(self, upload: UnitUpload) -> str:
        unit = upload.execution
        said = json.dumps([unit.server, unit.prefix, unit.rid, "execution"])
        name = "deriva-watch:" + hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()
        leased = self.writer.run(
            lambda: self.call_retry("POST leases", lambda: self.catalog.lease([name]))
        )
        self._note(upload, {"execution_rid": leased[name]})
        return leased[name]

    def _there(self, table: Table, rid: str) -> Row | None:
        return next(iter(self._rows(table.full_name, "RID", [rid])), None)

    def _make(self, upload: UnitUpload, drop: Drop, table: Table, known: str | None) -> Row:
        rid = known or self._lease(upload)
        row = {"RID": rid, **self._values(upload, drop, table)}
        is_new = known is None
        item = Insertion(table.full_name, row, ("RID",), given_rid=True, is_new=is_new)
        [written] = self.writer.insert([item])
        unit = upload.execution
        if written.row is None:
            why = f"an Execution {rid} exists but is not visible to this identity"
            then = f"Ask the catalog's administrator for the right to see it{_THEN}."
            if written.error:
                why, then = written.error.why, written.error.next
            raise RefusedError(f"{unit.label} is not uploaded", f"no Execution for it: {why}", then)
        return written.row

    def _report_created(self, upload: UnitUpload, table: Table, row: Row) -> None:
        """Write to the journal that the row exists; "" stands for no Status."""
        status, workflow = _status(upload.model, table), workflow_column(upload.model, table)
        self._note(upload, {"status_set": (status and row.get(status)) or ""})
        unit = upload.execution
        upload.emit(
            ExecutionCreated(
                execution=unit.rid,
                prefix=unit.prefix,
                execution_rid=row["RID"],
                workflow=row.get(workflow) if workflow else None,
            )
        )

    def _values(self, upload: UnitUpload, drop: Drop, table: Table) -> dict[str, Any]:
        values: dict[str, Any] = self._workflow(upload, drop, table)
        if drop.description is not None and "Description" in table.column:
            values["Description"] = drop.description
        status = _status(upload.model, table)
        if status and _CREATED in self._terms(table, status):
            values[status] = _CREATED
        return values

    def _workflow(self, upload: UnitUpload, drop: Drop, table: Table) -> dict[str, str]:
        try:
            return self.call_retry(
                "GET Workflow",
                lambda: workflow_value(
                    drop, upload.model, table, self.catalog, partial(upload.notice, "Workflow")
                ),
            )
        except ValueError as error:
            raise _unusable(upload, str(error), "workflow") from None

    # ------------------------------------------------------------------ its Status

    def _walk(self, upload: UnitUpload, table: Table, row: Row, goal: str) -> None:
        """Set the Status term by term up to *goal*; leave a Status that others have set."""
        column = _status(upload.model, table)
        if column is None:
            return
        now = row.get(column)
        if now is not None and now not in _WAY:
            upload.notice("Status", f"somebody set it to {now}, which is kept")
            return
        at, to = (-1 if now is None else _WAY.index(now)), _WAY.index(goal)
        terms = self._terms(table, column) if at < to else frozenset()
        for term in (each for each in _WAY[at + 1 : to + 1] if each in terms):
            moved = self._move(upload, str(row["RID"]), now, term)
            # After a lost answer the repeated call changes nothing.
            if not moved and (self._there(table, row["RID"]) or {}).get(column) != term:
                return
            now = term

    def _move(self, upload: UnitUpload, rid: str, old: str | None, new: str) -> bool:
        """Set the Status to *new* if it is *old*; False if it is not, or we may not set it."""
        try:
            moved = self.writer.run(
                lambda: self.call_retry(
                    "PUT status", lambda: self.catalog.move_status(rid, old, new)
                )
            )
        except RefusedError as error:
            upload.notice("Status", f"it stays {old}: {error.why}")
            return False
        if moved:
            self._note(upload, {"status_set": new})
            upload.emit(StatusChanged(execution=upload.execution.rid, old=old, new=new))
        return moved

    def _terms(self, table: Table, column: str) -> frozenset[str]:
        key = next(key for key in table.foreign_keys if key.columns == (column,))
        return self.call_retry(f"GET {key.target}", lambda: self.catalog.terms(key.target))

    def _note(self, upload: UnitUpload, facts: ExecutionFacts) -> None:
        number = upload.execution.id
        upload.journal.commit([NoteExecution(number, facts)])
        upload.execution = upload.journal.execution(number)


def _execution(upload: UnitUpload) -> Table:
    table = upload.model.ml_table("Execution")
    if table is None:
        raise _unusable(upload, "the catalog has no table Execution", "unit")
    return table


def _status(model: CatalogModel, table: Table) -> str | None:
    """Return the column that refers to the term of the Status."""
    keys = (key for key in table.foreign_keys if key.columns == ("Status",))
    key = next((key for key in keys if model.is_vocabulary(key.target)), None)
    return key.columns[0] if key else None


def _unusable(upload: UnitUpload, why: str, key: str) -> RefusedError:
    unit = upload.execution
    return RefusedError(
        f"{unit.label} is not uploaded",
        why,
        f"Correct {key} of the [[drop]] with path {unit.prefix} and restart the daemon, or correct "
        f"the catalog{_THEN}.",
    )
