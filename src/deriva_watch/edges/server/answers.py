"""Turns error answers of a Deriva server, and broken connections, into our errors.

The only place where statuses and broken connections become errors of `core.errors`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from deriva_watch.core.errors import (
    CredentialError,
    RefusedError,
    ServerAwayError,
    ServerBusyError,
    TroubleError,
)

_DETAIL_CHARS: Final = 300
_PASSING: Final = {408, 425, 429}  # and every 5xx
# PostgreSQL quotes whole rows after these words; what a person entered must not get into a log.
_ROWS: Final = re.compile(r"(DETAIL:\s*)?Failing row contains|CONTEXT:")
_TITLE: Final = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_RETRY: Final = "then run `deriva-watch retry RID`."
_MEANING: Final = {
    400: "did not understand the request",
    403: "does not allow {who} to do it",
    404: "found nothing at this address",
    409: "reports a conflict with existing data",
    411: "requires a Content-Length",
    412: "reports that it has changed in the meantime",
    413: "does not accept a body of this size",
    414: "does not accept an address of this length",
}
_REMEDY: Final = {
    403: f"Ask the administrator of the catalog for the right, {_RETRY}",
    404: f"Check that it exists, check server.host and server.catalog, {_RETRY}",
    413: f"Lower transfer.chunk_bytes in the settings, {_RETRY}",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An error answer."""

    status: int
    headers: Mapping[str, str]
    text: str


def trouble(what: str, host: str, who: str, answer: Answer) -> TroubleError:
    """Return the error for *answer*; *what* names what *who* could not do ("cannot …")."""
    status, said = answer.status, _detail(answer.text)
    reason = f" ({status}: {said})" if said else f" ({status})"
    if status == 401:  # noqa: PLR2004
        return CredentialError(
            what, f"{host} does not accept our credential{reason}", how_to_log_in(host)
        )
    if status in _PASSING or status >= 500:  # noqa: PLR2004
        wait_s = retry_after_s(answer.headers.get("Retry-After"), datetime.now(UTC))
        return ServerBusyError(what, f"{host} cannot do it now{reason}", retry_after_s=wait_s)
    meaning = _MEANING.get(status, "refuses it").format(who=who)
    remedy = _REMEDY.get(status, f"Fix the cause, {_RETRY}")
    return RefusedError(what, f"{host} {meaning}{reason}", remedy, status)


def away(what: str, host: str, error: BaseException) -> ServerAwayError:
    """Return the error for a connection that brought no answer."""
    cause = _bottom(error)
    verdict = getattr(cause, "verify_message", None)
    if verdict:
        why = f"the certificate of {host} is not accepted: {verdict}"
        remedy = "Add the authority that signed it to server.ca_bundle; the daemon retries."
        return ServerAwayError(what, why, remedy)
    return ServerAwayError(what, f"{host} does not answer: {_short(cause)}")


def how_to_log_in(host: str) -> str:
    """Return the next step for a credential that the server does not accept."""
    return (
        f"Run deriva-globus-auth-utils login --host {host}, or renew the credential file; "
        "work then continues automatically."
    )


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return how many seconds a Retry-After header asks for; it may hold seconds or a date."""
    if value is None:
        return None
    if re.fullmatch("[0-9]{1,9}", value):
        return float(value)
    at = moment(value)
    return None if at is None else max(0.0, (at - now).total_seconds())


def moment(value: str | None) -> datetime | None:
    """Return the date in a header, or None."""
    try:
        found = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=found.tzinfo or UTC)


def _detail(text: str) -> str:
    """Return the reason in an error answer: the title of an HTML page, never values of a row."""
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        text = re.sub(r"^\s*\d+\s", "", title[1]) if title else ""
    text = text.partition(" Detail: ")[2] or text
    text = " ".join(_ROWS.split(text)[0].split()).rstrip(".")
    return text if len(text) <= _DETAIL_CHARS else text[:_DETAIL_CHARS] + "…"


def _bottom(error: BaseException) -> BaseException:
    """Return the error that requests and urllib3 have wrapped."""
    while True:
        inner = [getattr(error, "reason", None), *reversed(error.args), error.__cause__]
        below = next((each for each in inner if isinstance(each, BaseException)), None)
        if below is None:
            return error
        error = below


def _short(cause: BaseException) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
