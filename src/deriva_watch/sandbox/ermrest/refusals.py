"""ERMrest's error texts: a fixed sentence for the status, then the detail."""

from typing import Final

from deriva_watch.sandbox.identity import Client
from deriva_watch.sandbox.refusal import RefusedError

SENTENCES: Final = {
    400: "Request malformed.",
    401: "Access requires authentication.",
    403: "Access forbidden.",
    404: "Resource not found.",
    409: "Request conflicts with state of server.",
    415: "Unsupported media type.",
    412: "Precondition failed.",
    500: "Internal server error.",
    501: "Not implemented by this sandbox.",
    503: "The service is temporarily unavailable.",
}


def refused(status: int, detail: str) -> RefusedError:
    """Return the refusal with ERMrest's sentence for *status* and *detail*."""
    return RefusedError(status, f"{SENTENCES[status]} Detail: {detail}")


def malformed(detail: str) -> RefusedError:
    """Return a 400: the request cannot be understood."""
    return refused(400, detail)


def conflict(detail: str) -> RefusedError:
    """Return a 409: the request contradicts the model or the stored rows."""
    return refused(409, detail)


def violation(detail: str) -> RefusedError:
    """Return the 409 for a violated constraint of the database."""
    return conflict(f"Input data violates model. ERROR:  {detail}")


def denied(client: Client | None, what: str) -> RefusedError:
    """Return a 403 for a client with a session, a 401 for others."""
    return refused(403 if client else 401, what)
