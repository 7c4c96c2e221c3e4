"""Classifies one file by its path: an asset, rows of a table, or left over."""

from deriva_watch.core.completeness.observation import Entry
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.layout import Place, unstaged
from deriva_watch.core.metadata.sources import Sources
from deriva_watch.core.plan.candidates import (
    Candidate,
    Leftover,
    candidate,
    dropped_candidate,
    refused,
    unusable,
)
from deriva_watch.core.plan.row_candidates import rows_of
from deriva_watch.core.plan.rules import Rules
from deriva_watch.core.rows.row_plan import RowsPlan


def classified(
    entry: Entry, where: Place | None, root: str, said: Sources, rules: Rules
) -> RowsPlan | Candidate | Leftover:
    """Classify one file."""
    if left := unusable(entry):
        return left
    if rules.drop:  # it takes files alone, not rows
        return dropped_candidate(entry, root, rules.drop)
    try:
        match = rules.spec.match(f"{root}/{unstaged(entry.path)}", root)
        rows = rows_of(entry, where, match, rules)
        return rows or candidate(entry, where, match, root, said, rules)
    except RefusedError as error:
        return refused(entry, f"{error.what}: {error.why}", error.next)
