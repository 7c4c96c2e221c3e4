"""`show --receipt`: what is kept as the proof of an upload."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from deriva_watch.core.errors import TroubleError
from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.edges.receipts import kept_as, read_receipt
from deriva_watch.status.views import named


def kept_receipts(
    reader: Reader | Journal, state_directory: Path, rid: str
) -> list[Mapping[str, Any]]:
    """Return the receipts of what *rid* names; TroubleError where there is none."""
    executions = named(reader, rid)
    places = {(each.server, kept_as(each)) for each in executions}
    found = [read_receipt(state_directory, *place) for place in sorted(places)]
    if not any(found):
        state = executions[0].state.value
        raise TroubleError(
            f"there is no receipt of {rid}",
            f"it is {state}, and {state_directory} keeps none that can be read",
            "It is written when the upload has ended; "
            f"`deriva-watch show {quote(rid)}` tells how far it is.",
        )
    return [receipt for receipt in found if receipt]
