"""Checks the service that runs the daemon, and its status page."""

import getpass
import os
from collections.abc import Iterator
from typing import Final

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look
from deriva_watch.edges.host import healthz
from deriva_watch.edges.host.programs import User, obstacle
from deriva_watch.edges.host.systemd import Unit
from deriva_watch.edges.journal import holder

_GIVEN: Final = ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET")
_IN_USE: Final = "Change [status] listen, or end the other program."


def systemd(look: Look) -> Iterator[Line]:
    """Check the service, and what systemd gave this process."""
    given = {name: os.environ[name] for name in _GIVEN if name in os.environ}
    if "INVOCATION_ID" in os.environ and given:
        told = ", ".join(f"{name}={value}" for name, value in given.items())
        yield Line("systemd", f"started this; {told}", facts=given)
        return
    if look.unit is None:
        why = "no unit file runs the daemon with these settings: it ends when you log out"
        then = "See the README (Install), or keep it running by other means."
        yield Line.note("systemd", "there is no service", why, then)
        return
    unit, state = look.unit, look.unit.state()
    about = "systemd"
    facts = {"file": str(unit.file), "user": unit.user, "state": state}
    what = f"{unit.name}: {state or 'this host does not use systemd'}; runs as {unit.user}"
    if unusable := _unusable_program(unit):
        then = (
            f"Install deriva-watch in another folder, with a Python that {unit.user} can execute, "
            "such as /usr/bin/python3, and name it in ExecStart= of the unit."
        )
        yield Line.wrong(about, what, unusable, then, facts)
    elif state == "failed":
        then = f"journalctl -u {unit.name} -n 50 -o cat; then systemctl restart {unit.name}"
        yield Line.wrong(about, what, "it ended and is not restarted automatically", then, facts)
    elif state == "inactive":
        then = f"systemctl enable --now {unit.name}"
        yield Line.note(about, what, "it is not started", then, facts)
    elif (us := getpass.getuser()) != unit.user:
        why = f"this check ran as {us}, who may read other files"
        line = f"runuser -u {unit.user} -- deriva-watch check --config {look.config}"
        yield Line.note(about, what, why, f"To check as {unit.user}: {line}", facts)
    else:
        yield Line(about, what, facts=facts)


def _unusable_program(unit: Unit) -> str | None:
    """Return why the user of the service cannot execute its program, or None."""
    user = User.named(unit.user)
    if user is None:
        return f"there is no user {unit.user}"
    if not unit.program.is_absolute():
        return None  # systemd looks for it in places that all may use
    try:
        return obstacle(unit.program, user, unit.hidden)
    except PermissionError:
        return None  # we may see less than the service does


def page(look: Look) -> Iterator[Line]:
    """Check whether the status page is served, or could be, and the daemon's health."""
    at = look.settings.status.listen
    if not at:
        yield Line("status page", "switched off: [status] listen is empty")
        return
    about, pid = "status page", holder(look.settings.journal.url)
    facts: dict[str, object] = {"listen": at, "daemon": pid}
    try:
        said = healthz.ask(at)
    except ValueError as error:
        why = f"another program listens there ({error})"
        yield Line.wrong(about, f"cannot be served at {at}", why, _IN_USE, facts)
        return
    if said is None and pid is None:
        yield Line(about, f"{at} is free; the daemon serves it once it runs", facts=facts)
    elif said is None:
        why = f"process {pid} has the journal open, but does not listen there"
        then = "See its log about [status] listen; restart it if that was changed."
        yield Line.wrong(about, f"is not served at {at}", why, then, facts)
    elif pid is None:
        why = "a daemon with other settings serves its status page there"
        yield Line.wrong(about, f"cannot be served at {at}", why, _IN_USE, facts)
    elif said["healthy"]:
        yield Line(about, f"served at {at}; the daemon is healthy", facts=facts)
    else:
        reasons = "; ".join(f"{each['what']}: {each['why']}" for each in said.get("reasons", []))
        yield Line.note(
            about, f"served at {at}; the daemon is unhealthy", reasons, "deriva-watch status", facts
        )
