"""Checks where the credential comes from, who may read it, and how it is renewed."""

from collections.abc import Iterator
from typing import Final

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look
from deriva_watch.edges.server.credentials import Origin

RENEWED: Final = {
    Origin.NAMED: "it is read again whenever it changes",
    Origin.DERIVA: "it is read again whenever it changes",
    Origin.SYSTEMD: "a copy that systemd makes at the start: after a renewal restart the service",
    Origin.GLOBUS: "a Globus login that ends: log in with --refresh, and deriva renews it",
}
_BY_ITSELF: Final = "a Globus login that deriva renews automatically"


def source(look: Look) -> Iterator[Line]:
    """Check the credential file."""
    if look.lacking:
        yield Line.of("credential", look.lacking)
        return
    file, origin = look.source.file, look.source.origin
    facts = {"file": str(file), "origin": origin}
    what = f"{file}; {_BY_ITSELF if look.source.renews_itself() else RENEWED[origin]}"
    if exposed := look.source.exposed():
        yield Line.wrong("credential", what, "everyone on this host can read it", exposed, facts)
    else:
        yield Line("credential", what, facts=facts)
