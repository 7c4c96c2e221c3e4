"""Whose statements count: what one user says counts only for that user's data.

Whoever may write below a prefix can make statements about the data there: manifests, type files,
orders of columns, markers, links, ignore files, receipts, and deriva-ml's workspaces. Those that do
not count are ignored with a notice. They neither hold up nor refuse anything.
"""

from collections.abc import Collection
from typing import Final

from deriva_watch.core.completeness.observation import Observation
from deriva_watch.core.layout import COLUMNS, MANIFEST, Shape, place

OVERFLOW: Final = 65534
"""The user that the kernel shows in place of all that it cannot name: nobody's owner."""

_ROOT: Final = 0
_STATEMENTS: Final = {Shape.MANIFEST, Shape.ASSET_TYPES, Shape.COLUMNS}


def objection(by: int, of: int | None, trusted: Collection[int] = ()) -> str | None:
    """Return why a statement does not count, or None.

    Args:
        by: The user who owns the statement.
        of: The user who owns the data that it is about; None: not known.
        trusted: The users whose statements count for everybody's data, beside root.
    """
    if by == _ROOT or by in trusted or by == of != OVERFLOW:
        return None
    if by == of:
        return f"it does not count: its owner, user {by}, may be any user unknown to this host"
    return f"it does not count: user {by} owns it, and user {of} the folder that it is about"


def disbelieved(
    seen: Observation, markers: Collection[str], trusted: Collection[int], *, is_ml: bool
) -> dict[str, str]:
    """Return the statements in a unit that do not count, by path, each with the reason.

    Args:
        seen: The unit.
        markers: Names of files by which a writer says that it is done.
        trusted: As of `objection`.
        is_ml: It is an execution directory. Others have no statements but markers and links.
    """
    # What the owner of the unit owns counts, except if that owner is nobody.
    doubtful = seen.entries if seen.owner == OVERFLOW else seen.owners
    found = dict(seen.disbelieved)
    for path in doubtful:
        if path in markers or (is_ml and _is_statement(path)):
            by = seen.owners.get(path, OVERFLOW)
            if why := objection(by, seen.owner, trusted):
                found.setdefault(path, why)
    return found


def _is_statement(path: str) -> bool:
    if not path.endswith((MANIFEST, COLUMNS, ".jsonl")):  # a cheap answer for most files
        return False
    where = place(path)
    return where is not None and where.shape in _STATEMENTS
