"""`deriva-watch check`: finds what is wrong, one line each, in the order in which to fix it.

Nothing is written to the server, and nothing is left behind on this host.

settings_file  where the settings come from
finding        the line about what one check found
session        what the checks share, and how far they came
server         whether the server answers, its versions, its clock, our login
clock_skew     how far the two clocks are apart
credential     where the credential comes from, how it is renewed
catalog        what the catalog has, our rights there and in the object store
spec           whether the bulk spec and the terms fit the catalog
drops          whether the drop folders do, and whether what they name exists there
statements     what other users say of the data below the roots
within         the time limit of whatever asks a root
host           every root, the limits of inotify, how open files are found
state          the journal and its disk
service        the systemd service, the status page
"""

import getpass
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deriva_watch.commands.check import (
    catalog,
    credential,
    drops,
    host,
    server,
    service,
    settings_file,
    spec,
    state,
    statements,
)
from deriva_watch.commands.check.finding import Line, Verdict
from deriva_watch.commands.check.session import Look, Reached, looking
from deriva_watch.core.errors import ServerAwayError, TroubleError
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sources import find_config

__all__ = ["Line", "Part", "Verdict", "check_all", "check_parts"]


@dataclass(frozen=True, slots=True)
class _Check:
    """One check.

    Attributes:
        about: The subject, for the line of a check that cannot run.
        run: Runs it; a TroubleError becomes a line too.
        needs: How far the earlier checks must have come.
    """

    about: str
    run: Callable[[Look], Iterable[Line]]
    needs: Reached = Reached.NOTHING


@dataclass(frozen=True, slots=True)
class Part:
    """The checks of one subject.

    Attributes:
        title: The subject.
        lines: The results; each check runs when its line is read.
    """

    title: str
    lines: Iterator[Line]


PARTS: Final = {
    "server": (
        _Check("server", server.answers),
        _Check("clock", server.clock, Reached.SERVER),
    ),
    "login": (
        _Check("credential", credential.source),
        _Check("login", server.login, Reached.SERVER),
    ),
    "catalog": (
        _Check("catalog", catalog.reads, Reached.SESSION),
        _Check("bulk spec", spec.bulk_spec, Reached.MODEL),
        _Check("drop folders", drops.drop_folders, Reached.MODEL),
        _Check("roles", spec.roles, Reached.MODEL),
        _Check("statuses", spec.statuses, Reached.MODEL),
        _Check("asset types", spec.asset_types, Reached.MODEL),
        _Check("rights on files", catalog.asset_rights, Reached.MODEL),
        _Check("rights on RIDs", catalog.lease_right, Reached.MODEL),
        _Check("rights on executions", catalog.execution_rights, Reached.MODEL),
        _Check("namespaces", catalog.namespaces, Reached.MODEL),
    ),
    "roots": (_Check("roots", host.roots), _Check("statements", statements.ignored)),
    "this host": (
        _Check("inotify", host.watches),
        _Check("open writers", host.writers),
    ),
    "journal": (_Check("journal", state.journal), _Check("disk", state.disk)),
    "service": (_Check("systemd", service.systemd), _Check("status page", service.page)),
}


def check_all(config: Path | None) -> Iterator[Part]:
    """Check the settings in *config*, then everything that they name."""
    loaded, lines = settings_file.read(config)
    yield Part("settings", iter(lines))
    if loaded:
        yield from check_parts(loaded, config or find_config())


def check_parts(
    settings: Settings, config: Path | None, titles: Collection[str] = PARTS
) -> Iterator[Part]:
    """Run the checks of the parts *titles*; a failing check never hides another.

    *config* is the file that the settings are in, or will be in.
    """
    with looking(settings, config) as look:
        for title, checks in PARTS.items():
            if title not in titles:
                continue
            yield Part(title, (line for check in checks for line in _lines(check, look)))


def _lines(check: _Check, look: Look) -> Iterator[Line]:
    if look.reached < check.needs:
        why = Reached(look.reached + 1).missing
        then = "Fix that first, then check again."
        yield Line(check.about, "not checked", why, then, verdict=Verdict.UNSEEN)
        return
    try:
        yield from check.run(look)
    except TroubleError as error:
        if isinstance(error, ServerAwayError):
            look.reached = Reached.NOTHING  # no more requests: each would wait as long
        yield Line.of(check.about, error)
    except OSError as error:
        why, user = f"{error.filename}: {error.strerror}", getpass.getuser()
        yield Line.wrong(check.about, "cannot be checked", why, f"Let {user} read it.")
