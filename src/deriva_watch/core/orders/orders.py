"""The orders that a command writes and the daemon applies.

Each kind of order is a class with its KIND. If the daemon is killed meanwhile it applies an order
more than once, so applying it again must change nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, get_type_hints

from deriva_watch.core.orders.holds import Hold, HoldKind
from deriva_watch.core.read_back import READ_BACKS, ReadBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order.

    Attributes:
        by: The user who gives it.
        reason: Why, in the user's words.
    """

    KIND: ClassVar[str]

    by: str
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON, which `parse` reads."""
        return {"kind": self.KIND, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Order):
    """Try an execution again, or all that were refused or wait; ends a cancellation.

    Attributes:
        rid: The execution, None for all.
        paths: Files of it that were refused or cancelled; none: the execution itself.
        this_catalog: It belongs to this catalog despite other evidence.
    """

    KIND: ClassVar[str] = "retry"

    rid: str | None
    paths: tuple[str, ...] = ()
    this_catalog: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Order):
    """Stop working on an execution, or on files of it, until a retry.

    Attributes:
        rid: The execution.
        paths: Files of it; none: all of it.
        at: When it was given, ISO 8601.
    """

    KIND: ClassVar[str] = "cancel"

    rid: str
    paths: tuple[str, ...] = ()
    at: str

    def __post_init__(self) -> None:
        """Raise ValueError if the time is invalid."""
        instant(self.at)

    def hold(self) -> Hold:
        """Return the hold that it sets."""
        return Hold(HoldKind.CANCELLED, self.by, instant(self.at), self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Order):
    """Pause an execution, or all work.

    Attributes:
        rid: The execution, None for everything.
        at: When it was given, ISO 8601.
        until: When it ends by itself, ISO 8601.
    """

    KIND: ClassVar[str] = "pause"

    rid: str | None
    at: str
    until: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if a time is invalid."""
        self.hold()

    def hold(self) -> Hold:
        """Return the hold that it sets."""
        until = instant(self.until) if self.until else None
        return Hold(HoldKind.PAUSED, self.by, instant(self.at), self.reason, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Order):
    """End the pause of an execution, or of all work.

    Attributes:
        rid: The execution, None for the pause of everything.
    """

    KIND: ClassVar[str] = "resume"

    rid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaim(Order):
    """Delete the files of uploaded executions, each after another verification.

    Attributes:
        rids: The executions; none: all.
        older_than_s: Only those that were uploaded at least this long ago.
        read_back: How much of each object is read back first; None: as the settings say.
    """

    KIND: ClassVar[str] = "reclaim"

    rids: tuple[str, ...] = ()
    older_than_s: float
    read_back: ReadBack | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the duration is too long."""
        try:
            timedelta(seconds=self.older_than_s)
        except OverflowError:
            raise ValueError(f"{self.older_than_s!r} is not a length of time in seconds") from None


KINDS: Final[Mapping[str, type[Order]]] = {
    kind.KIND: kind for kind in (Retry, Cancel, Pause, Resume, Reclaim)
}


def parse(document: Any) -> Order:
    """Return the order in *document*; raise ValueError with a sentence if it is invalid.

    An unknown field makes it invalid: without the field it could mean something else.
    """
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004  # one error for all that is wrong
    said = {"by": "somebody", **document}  # the first releases said neither who nor what
    name = said.pop("kind", Retry.KIND)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"this release has no order {name!r}")
    known, hints = {field.name for field in fields(kind)}, get_type_hints(kind)
    if unknown := sorted(said.keys() - known):
        raise ValueError(f"this release has no field {unknown[0]!r} in an order {name!r}")
    made: dict[str, Any] = {
        each: tuple(value) if isinstance(value, list) else value for each, value in said.items()
    }
    if wrong := sorted(each for each, value in made.items() if not _fits(value, hints[each])):
        raise ValueError(f"{made[wrong[0]]!r} is not a valid {wrong[0]!r} of an order {name!r}")
    try:
        return kind(**made)
    except TypeError as error:
        raise ValueError(f"something of it is missing: {error}") from None


def _fits(value: Any, hint: Any) -> bool:
    if hint == ReadBack | None:
        return value in {None, *READ_BACKS}
    if hint == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    return isinstance(value, hint)


def instant(text: str) -> datetime:
    """Parse a time, ISO 8601 with a zone; raise ValueError if it is invalid."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at
