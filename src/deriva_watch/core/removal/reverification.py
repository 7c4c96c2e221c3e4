"""When uploaded units are verified again in the background, and what that proves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from shlex import quote
from typing import Any, Final

from deriva_watch.core.prose import counted
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.core.removal.verification import Difference, Verified, Where

_LATEST: Final = 0.9  # of the period: an older proof is renewed now, whatever the pace
_BUSY: Final = 0.8  # of the period: the units are spread over it
_CALLS: Final = 0.4  # of the period: the pauses between the calls take no longer
_PAUSE_S: Final = 1.0  # the longest pause between two calls
_DIFFERING: Final = timedelta(days=1)  # how often at most a unit that differs is asked for again


class Proof(StrEnum):
    """How it was proved that the server has what was uploaded."""

    UPLOAD = "upload"  # it was asked for nothing since
    SERVER = "server"  # by what the server says
    BYTES = "bytes"  # by the bytes that it gives back


_SAID: Final = {
    Proof.UPLOAD: "the server accepted or had every file, row and link; it was not asked again "
    "since",
    Proof.SERVER: "every row, link and object was there, with the size and MD5 that the server "
    "states; no stored bytes were read",
    Proof.BYTES: "every row and link was there, and the bytes of every object were read back and "
    "hashed",
}


def proof_said(proof: Mapping[str, Any]) -> str:
    """Return a `proof` of the journal as a sentence."""
    files = proof.get("unverified", 0)
    but = f"; {counted(files, 'file')} could not be verified in whole" if files else ""
    return _SAID[Proof(proof["by"])] + but


@dataclass(frozen=True, slots=True)
class Pace:
    """Spreads the verification of all units over a period, so that the server notices little.

    Attributes:
        period: Within it every unit is verified once.
    """

    period: timedelta

    def is_due(self, unit: ExecutionRecord, now: datetime, idle: timedelta, units: int) -> bool:
        """Return whether a unit is to be verified, of *units* the one whose turn it is.

        Args:
            unit: The unit.
            now: The time.
            idle: How long ago the verification of another unit ended.
            units: How many units there are.
        """
        if unit.verified_at is None:
            return True
        age = now - unit.verified_at
        if unit.differs and age >= min(_DIFFERING, self.period / 2):
            return True
        return age >= self.period * _LATEST or idle >= self.period * _BUSY / units

    def pause_s(self, calls: int) -> float:
        """Return how long to pause before each of the *calls* that all units need."""
        return min(_PAUSE_S, self.period.total_seconds() * _CALLS / max(calls, 1))


def differences(found: Verified) -> list[Difference]:
    """Return the differences that concern what is uploaded: what is not yet is told elsewhere."""
    return [each for each in found.differences if each.where is not Where.LEFT]


def sentence(unit: ExecutionRecord, found: Sequence[Difference]) -> dict[str, str]:
    """Return the message about the differences of a unit, of which there is at least one."""
    first, verify = found[0], f"`deriva-watch verify {quote(unit.rid)}`"
    more = f" (and {counted(len(found) - 1, 'more difference')})" if len(found) > 1 else ""
    then = f"{first.next} {verify} names all differences; this ends once it finds none."
    return {"what": f"{first.what}{more}", "why": first.why, "next": then}
