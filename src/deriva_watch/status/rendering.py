"""JSON as the page and programs get it."""

from typing import Any

import orjson
from starlette.responses import Response


def render(content: Any) -> bytes:
    """Return *content* as JSON in one line."""
    return orjson.dumps(content)


class Json(Response):
    """An answer that is nothing but JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return render(content)
