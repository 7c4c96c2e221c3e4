"""The rows of a file that cannot be uploaded: which is the first, and how many there are."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from deriva_watch.core.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be uploaded; *name* is its key if another row has the same key."""

    place: str
    why: str
    next: str = "Correct the row; rows that are in the catalog are not sent again."
    name: Hashable = None


@dataclass(slots=True)
class Faults:
    """The rows of one file that cannot be uploaded: the first of them, and their number."""

    first: Fault | None = None
    count: int = 0

    def add(self, place: str, why: str, **more: Any) -> None:
        """Count one."""
        self.first = self.first or Fault(place, why, **more)
        self.count += 1

    def take(self, others: "Faults") -> None:
        """Count those of *others*, which come later in the file, too."""
        self.first = self.first or others.first
        self.count += others.count

    def refusal(self, path: str, earlier: str | None = None) -> RefusedError:
        """Return the error for the file; *earlier* is the place of a row with the same key."""
        fault = self.first or Fault("the file", "nothing is wrong with it")
        both = f" ({earlier} has the same key)" if earlier else ""
        more = f"; {self.count} rows in all cannot be uploaded" if self.count > 1 else ""
        why = f"{fault.place}: {fault.why}{both}{more}"
        return RefusedError(f"cannot upload all rows of {path}", why, fault.next)
