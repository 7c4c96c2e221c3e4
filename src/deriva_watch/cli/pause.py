"""`deriva-watch pause`: pause uploads, all of them or those of one execution."""

import re
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Annotated, Final

import typer

from deriva_watch.cli.app import ConfigOption, JsonOption, app
from deriva_watch.cli.orders import ReasonOption, RidArgument, now, print_order, uploads_of
from deriva_watch.core.errors import SettingsError

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST: Final = timedelta(days=3650)


@app.command()
def pause(
    rid: RidArgument = None,
    reason: ReasonOption = None,
    time: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="How long, such as 90s, 30m, 2h or 1d."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause all uploads, or one execution, until `resume`; a restart does not end the pause.

    Running uploads stop within one block of data or one request. Directories are still watched and
    files hashed; executions that become complete have to wait. While all uploads are paused,
    `deriva-watch upload` ends with an error.

    Exit status 2 if there is no such execution.

    For example: deriva-watch pause --for 2h
    """
    from deriva_watch.commands.orders.submit import asker, give
    from deriva_watch.core.orders.orders import Pause
    from deriva_watch.settings.model import load

    until = _until(time)
    order = Pause(rid=rid, at=now(), until=until, by=asker(), reason=reason)
    given = give(load(config), order)
    named = f" {quote(rid)}" if rid else ""
    end = f" until {until[:16].replace('T', ' ')} UTC" if until else ""
    earlier = " earlier" if until else ""
    text = f"{uploads_of(rid)} paused{end}. Resume{earlier}: `deriva-watch resume{named}`."
    print_order(order, given.rids, given.daemon, text, as_json=as_json)


def _until(time: str | None) -> str | None:
    """Return when a pause of length *time* ends, ISO 8601."""
    if time is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", time)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < length <= _LONGEST:
        raise SettingsError(
            f"cannot pause for {time!r}",
            "it is not a duration, or longer than ten years",
            "Give a number and s, m, h or d: `--for 2h`.",
        )
    return (datetime.now(UTC) + length).isoformat()
