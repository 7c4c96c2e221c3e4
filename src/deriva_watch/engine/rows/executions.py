"""The Execution of a unit of a drop folder: made exactly once, with the Status steps of deriva-ml.

Its RID is leased and written to the journal before the row is made. After a crash, the next attempt
looks for that row and makes no other.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deriva_watch.core.drop.drop_folder import Drop, NamedWorkflow
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.events import ExecutionCreated, StatusChanged
from deriva_watch.core.model import CatalogModel, Table
from deriva_watch.core.prose import closest
from deriva_watch.core.records import ExecutionFacts, NoteExecution
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.writer import CatalogWriter, Insertion
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
        rid = upload.execution.execution_rid or self._lease(upload)
        row = self._there(table, rid) or self._make(upload, drop, table, rid)
        if upload.execution.status_set is None:
            self._tell(upload, table, row)
        self._walk(upload, table, row, _SENDING)

    def end(self, upload: UnitUpload) -> None:
        """Set the Status to uploaded: all of the unit is in the catalog."""
        table, rid = _execution(upload), upload.execution.execution_rid
        if rid and (row := self._there(table, rid)):
            self._walk(upload, table, row, _DONE)

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
        rows = self.call_retry(
            f"GET {table.full_name}",
            lambda: self.catalog.rows_with(table.full_name, "RID", [rid]),
        )
        return next(iter(rows), None)

    def _make(self, upload: UnitUpload, drop: Drop, table: Table, rid: str) -> Row:
        values = self._values(upload, drop, table)
        item = Insertion(table.full_name, {"RID": rid, **values}, ("RID",), given_rid=True)
        [written] = self.writer.insert([item])
        unit = upload.execution
        if written.row is None:
            why = f"an Execution {rid} exists but is not visible to this identity"
            then = f"Ask the catalog's administrator for the right to see it{_THEN}."
            if written.error:
                why, then = written.error.why, written.error.next
            raise RefusedError(f"{unit.label} is not uploaded", f"no Execution for it: {why}", then)
        return written.row

    def _tell(self, upload: UnitUpload, table: Table, row: Row) -> None:
        """Write to the journal that the row exists; "" stands for no Status."""
        status, workflow = (_column(upload.model, table, word) for word in ("Status", "Workflow"))
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
        values: dict[str, Any] = {}
        workflow = _column(upload.model, table, "Workflow")
        if drop.workflow is not None:
            if workflow is None:
                raise _unusable(upload, f"{table.full_name} refers to no Workflow", "workflow")
            values[workflow] = self._workflow(upload, drop.workflow)
        elif workflow and not table.column[workflow].nullable:
            raise _unusable(upload, f"{table.full_name} must have a Workflow", "workflow")
        if drop.description is not None and "Description" in table.column:
            values["Description"] = drop.description
        status = _column(upload.model, table, "Status")
        if status and _CREATED in self._terms(table, status):
            values[status] = _CREATED
        return values

    def _workflow(self, upload: UnitUpload, wanted: str | NamedWorkflow) -> str:
        """Return the RID of the Workflow named in the settings; never makes one."""
        table = upload.model.ml_table("Workflow")
        if table is None:
            raise _unusable(upload, "the catalog has no table Workflow", "workflow")
        said: Mapping[str, str] = {"RID": wanted} if isinstance(wanted, str) else {}
        if isinstance(wanted, NamedWorkflow):
            said = {"Name": wanted.name, "Version": wanted.version}
        if missing := sorted(said.keys() - table.column.keys()):
            why = f"{table.full_name} has no column {missing[0]}"
            raise _unusable(upload, why, "workflow")
        rows = self.call_retry(
            f"GET {table.full_name}", lambda: self.catalog.rows_where(table.full_name, said)
        )
        if len(rows) == 1:
            return str(rows[0]["RID"])
        about = " and ".join(f"{name} {value!r}" for name, value in said.items())
        found = ", ".join(sorted(row["RID"] for row in rows))
        why = f"{len(rows)} rows ({found}) of" if rows else "no row of"
        near = ""
        if isinstance(wanted, NamedWorkflow) and not rows:
            near = closest(
                wanted.name, self.catalog.neighbours(table.full_name, "Name", wanted.name)
            )
        raise _unusable(upload, f"{why} {table.full_name} have {about}{near}", "workflow")

    # ------------------------------------------------------------------ its Status

    def _walk(self, upload: UnitUpload, table: Table, row: Row, goal: str) -> None:
        """Set the Status term by term up to *goal*; leave a Status that others have set."""
        column = _column(upload.model, table, "Status")
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


def _column(model: CatalogModel, table: Table, word: str) -> str | None:
    """Return the column that refers to the Workflow, or to the term of the Status."""
    if word == "Workflow":
        workflow = model.ml_table(word)
        key = table.key_to(workflow.full_name) if workflow else None
    else:
        keys = (key for key in table.foreign_keys if key.columns == (word,))
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
