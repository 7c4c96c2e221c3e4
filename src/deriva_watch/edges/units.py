"""The service of systemd that runs the daemon with certain settings, as its unit files say it."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDERS: Final = tuple(
    Path(folder, "systemd/system") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib")
)
_RUNS: Final = Path("/run/systemd/system")  # sd_booted(3)
_DEFAULT_USER: Final = "root"
_ANSWER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Unit:
    """A service.

    Attributes:
        name: As systemctl takes it.
        file: Where it is written down.
        user: Whom it runs as.
        credential: The file that systemd copies for it, or None.
    """

    name: str
    file: Path
    user: str
    credential: Path | None

    def state(self) -> str | None:
        """Return "active", "inactive", "failed" …; None where systemd does not run this host."""
        if not _RUNS.is_dir():
            return None
        line = ["systemctl", "is-active", self.name]
        try:
            done = subprocess.run(  # noqa: S603  # the name is that of a file of systemd
                line, capture_output=True, text=True, timeout=_ANSWER_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() or None


def serving(config: Path) -> Unit | None:
    """Return the service that runs the daemon with the settings *config*, or None."""
    for file in (
        file for folder in FOLDERS for file in sorted(folder.glob("deriva-watch*.service"))
    ):
        instance = config.stem if file.stem.endswith("@") else ""
        said = _read(file)
        if str(config) in _last(said, "ExecStart").replace("%i", instance).split():
            copied = _last(said, "LoadCredential").replace("%i", instance)
            name, _, source = copied.partition(":")
            credential = Path(source) if name == "credential.json" and source else None
            user = _last(said, "User") or _DEFAULT_USER
            return Unit(f"{file.stem}{instance}", file, user, credential)
    return None


def _last(said: Mapping[str, list[str]], key: str) -> str:
    return next(reversed(said.get(key, [])), "")


def _read(file: Path) -> Mapping[str, list[str]]:
    """Return the values of each key, with those of drop-ins; an empty one forgets what was."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in _lines(file):
        key, is_set, value = line.partition("=")
        if is_set and value.strip():
            found[key.strip()].append(value.strip())
        elif is_set:
            found[key.strip()].clear()
    return found


def _lines(file: Path) -> Iterator[str]:
    changes = [
        part for folder in FOLDERS for part in sorted((folder / f"{file.name}.d").glob("*.conf"))
    ]
    for each in (file, *changes):
        with suppress(OSError):  # not for us, or gone
            text = each.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
            lines = text.splitlines()
            yield from (line for line in lines if not line.lstrip().startswith(("#", ";")))
