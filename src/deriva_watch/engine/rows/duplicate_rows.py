"""Finds rows without a key that another uploader may have uploaded too."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.rows.adoption import contradictions, known_by
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.engine.ports import Row
from deriva_watch.engine.unit_upload import UnitUpload


class Sent(NamedTuple):
    """A row in the catalog: its place in the file, its RID, and the values sent."""

    place: str
    rid: str
    values: Row


def note_duplicates(
    upload: UnitUpload, plan: RowsPlan, sent: Sent, find: Callable[[Row], list[Row]]
) -> None:
    """Add a notice if another row equals one of a batch that was *sent*.

    A leased RID prevents duplicates between our own attempts. Another journal, after the first
    lease is used up, or another identity leases a different RID. Batches are inserted as a whole,
    so one row is enough.
    """
    try:
        rows = find(known_by(plan.definition, sent.values))
    except RefusedError as error:
        why = f"it is not known whether its rows were uploaded twice: {error.why}"
        upload.notice(plan.path, why)
        return
    alike = [
        row["RID"]
        for row in rows
        if row["RID"] != sent.rid and not contradictions(plan.definition, sent.values, row)
    ]
    if others := _without_its_own(upload, plan, alike):
        upload.notice(
            plan.path,
            f"{sent.place} is row {sent.rid} of {plan.table}, and row {others[0]} is equal: "
            "another uploader may have uploaded the same file. Compare the rows, and delete the "
            "duplicates.",
        )


def _without_its_own(upload: UnitUpload, plan: RowsPlan, rids: Iterable[str]) -> list[str]:
    """Return *rids* without those of other rows of the same file, which may be equal."""
    others = dict.fromkeys(rids)
    if others:
        for rid in (rid for kept in upload.batches(plan.path) for rid in kept.rids or ()):
            others.pop(rid or "", None)
    return list(others)
