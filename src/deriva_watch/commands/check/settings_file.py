"""Where the settings come from, and whether they can be used."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from deriva_watch.commands.check.finding import Line, Verdict
from deriva_watch.core.errors import SettingsError
from deriva_watch.settings import model
from deriva_watch.settings.sources import PREFIX, find_config


def read(config: Path | None) -> tuple[model.Settings | None, list[Line]]:
    """Return the settings, or None, and what is said of them; *config* as `model.load`."""
    try:
        loaded = model.load(config)
    except SettingsError as error:
        return None, list(_refused(error))
    return loaded, [_found(config or find_config())]


def _found(config: Path | None) -> Line:
    config = config and config.absolute()
    variables = sorted(name for name in os.environ if name.startswith(PREFIX))
    facts = {"file": str(config) if config else None, "variables": variables}
    what = ", ".join([str(config)] * bool(config) + variables)
    if config and config.stat().st_mode & 0o002:
        why = "everyone on this host can change it, and so what is uploaded where"
        return Line.wrong("settings", what, why, f"chmod o-w {shlex.quote(str(config))}", facts)
    return Line("settings", what, facts=facts)


def _refused(error: SettingsError) -> Iterator[Line]:
    for problem in error.what.splitlines():
        yield Line.wrong("settings", problem, error.why, error.next)
    why, then = "the settings cannot be used", "Fix them first, then check again."
    yield Line("all else", "not checked", why, then, verdict=Verdict.UNSEEN)
