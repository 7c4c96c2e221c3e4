"""Checks whether the server answers, its versions, its clock, and our login."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from deriva_watch.commands.check.clock_skew import apart_s
from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look, Reached
from deriva_watch.core.errors import CredentialError, RefusedError
from deriva_watch.edges.server.answers import how_to_log_in
from deriva_watch.pipeline.session import SOON_S

LARGEST_SKEW_S: Final = 60.0
_EARLY: Final = timedelta(days=3)  # the end of a session is announced this long before
_NEEDED: Final = ("quantified_value_lists", "rid_lease")  # features of ERMrest that we need


def answers(look: Look) -> Iterator[Line]:
    """Check that ERMrest and Hatrac answer."""
    host = look.server.host
    try:
        said = look.server.greet("/ermrest/").document
    except RefusedError as error:
        what, then = f"{host} is not a Deriva server", "Correct [server] host, or its protocol."
        yield Line.wrong("server", what, error.why, then)
        return
    with suppress(CredentialError):  # a server that does not know us answers too
        look.store.ping()
    look.reached = Reached.SERVER
    features = said.get("features", {})
    facts = {"host": host, "ermrest": said.get("version"), "features": features}
    what = f"{host} answers; ERMrest {said.get('version', 'of an unknown version')}, Hatrac"
    if lacking := [name for name in _NEEDED if features.get(name) is not True]:
        why = f"its ERMrest does not report the features {', '.join(lacking)}"
        yield Line.note("server", what, why, "Ask its administrator for an update.", facts)
    else:
        yield Line("server", what, facts=facts)


def clock(look: Look) -> Iterator[Line]:
    """Compare the clocks of the server and of this host."""
    said = look.server.greet("/ermrest/")
    if said.date is None:
        yield Line("clock", f"{look.server.host} does not tell its time")
        return
    skew_s = apart_s(said.date, said.sent_at, said.received_at)
    facts = {"skew_s": skew_s}
    if abs(skew_s) <= LARGEST_SKEW_S:
        yield Line("clock", f"within {max(1.0, abs(skew_s)):g} s of the server's", facts=facts)
        return
    side = "behind" if skew_s > 0 else "ahead of"
    yield Line.wrong(
        "clock",
        f"this host is {timedelta(seconds=round(abs(skew_s)))} {side} {look.server.host}",
        "sessions, certificates, newer_than and the times in receipts need equal clocks",
        "As root: timedatectl set-ntp true; if that is on, tell the server's administrator.",
        facts,
    )


def login(look: Look) -> Iterator[Line]:
    """Check who we are for the server, and until when."""
    found = look.server.session()
    look.reached = Reached.SESSION
    who = f"{found.display_name} at {look.server.host}"
    facts: dict[str, object] = {"id": found.client_id, "remaining_s": found.remaining_s}
    if found.remaining_s is None:
        yield Line("login", f"{who}; the server does not tell when the session ends", facts=facts)
        return
    left = timedelta(seconds=found.remaining_s)
    ends = datetime.now(UTC) + left
    what = f"{who} until {ends:%Y-%m-%d %H:%M} UTC"
    facts |= {"expires_at": ends}
    by_itself = look.source.renews_itself() or look.server.uses_cookie
    if left.total_seconds() > SOON_S and (by_itself or left > _EARLY):
        yield Line("login", what, facts=facts)
        return
    made = Line.wrong if left.total_seconds() <= SOON_S else Line.note
    why = f"it ends in {timedelta(seconds=round(found.remaining_s))}"
    yield made("login", what, why, how_to_log_in(look.server.host), facts)
