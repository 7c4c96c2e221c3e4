"""The error answers of the services."""

from collections.abc import Mapping


class RefusedError(Exception):
    """A request that is answered with an error status and one line of text.

    Attributes:
        status: The HTTP status.

        text: The line, as the real servers word it where clients read it.

        headers: Further headers of the answer.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text
        self.headers = dict(headers or {})
