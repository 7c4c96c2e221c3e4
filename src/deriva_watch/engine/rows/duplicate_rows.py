"""Rows without a key that another uploader may have brought in as well."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.rows.adoption import contradictions, known_by
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.engine.ports import Row
from deriva_watch.engine.unit_upload import Upload


class Sent(NamedTuple):
    """A row that is in the catalog: where the file has it, its RID, and what was sent of it."""

    place: str
    rid: str
    values: Row


def tell_doubled(
    upload: Upload, plan: RowsPlan, sent: Sent, find: Callable[[Row], list[Row]]
) -> None:
    """Tell a person where another row says the same as one of a batch that was *sent*.

    A leased RID keeps our own attempts apart; another journal, once the first lease is used up,
    or another identity leases another. Batches are brought in whole, so that one row tells of all.
    """
    try:
        rows = find(known_by(plan.definition, sent.values))
    except RefusedError as error:
        why = f"nobody can tell whether its rows were brought in twice: {error.why}"
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
            f"{sent.place} is row {sent.rid} of {plan.table}, and row {others[0]} says the same: "
            "another uploader may have brought the same file in. Compare the rows, and delete "
            "those that are too many.",
        )


def _without_its_own(upload: Upload, plan: RowsPlan, rids: Iterable[str]) -> list[str]:
    """Return *rids* without those of other rows of the same file: they are meant to be alike."""
    others = dict.fromkeys(rids)
    if others:
        for rid in (rid for kept in upload.batches(plan.path) for rid in kept.rids or ()):
            others.pop(rid or "", None)
    return list(others)
