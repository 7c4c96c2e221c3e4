"""Messages to and questions about systemd: sd_notify(3) without its library, and units."""

import os
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TIMEOUT_S: Final = 1.0


def notify(*states: str) -> None:
    """Send "READY=1", "STOPPING=1", "WATCHDOG=1" or "STATUS=…" to systemd, if it started us.

    A message that cannot be sent is dropped.
    """
    if address := os.environ.get("NOTIFY_SOCKET"):
        message = "\n".join(state.replace("\n", " ") for state in states)
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # "@" stands for the zero byte of an abstract address
            sender.settimeout(_TIMEOUT_S)  # do not wait for a manager that does not listen
            sender.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            sender.sendall(message.encode(errors="backslashreplace"))


def notify_slow_start(seconds: float) -> None:
    """Ask systemd to wait for "READY=1" for *seconds* from now, if its own limit is shorter."""
    notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")


def notify_reload() -> None:
    """Tell systemd that the settings are being reloaded; "READY=1" ends the reload."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_s() -> float | None:
    """Return the interval of "WATCHDOG=1" in seconds; None if systemd does not wait for it."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    interval_us = int(os.environ.get("WATCHDOG_USEC") or 0)
    return interval_us / 2e6 or None  # sd_watchdog_enabled(3) recommends half of the timeout


FOLDERS: Final = tuple(
    Path(folder, "systemd/system") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib")
)
_RUNS: Final = Path("/run/systemd/system")  # sd_booted(3)
_DEFAULT_USER: Final = "root"
_HOMES: Final = tuple(map(Path, ("/home", "/root", "/run/user")))  # of ProtectHome=
_ANSWER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Unit:
    """A service.

    Attributes:
        name: Its name for systemctl.
        file: The unit file.
        user: The user it runs as.
        credential: The file that systemd copies for it, or None.
        program: What it executes.
        hidden: Folders that it does not see.
    """

    name: str
    file: Path
    user: str
    credential: Path | None
    program: Path
    hidden: tuple[Path, ...]

    def state(self) -> str | None:
        """Return "active", "inactive", "failed" …; None if this host does not run systemd."""
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
    """Return the service that runs the daemon with the settings file *config*, or None."""
    for file in (
        file for folder in FOLDERS for file in sorted(folder.glob("deriva-watch*.service"))
    ):
        instance = config.stem if file.stem.endswith("@") else ""
        said = _read(file)
        line = _last(said, "ExecStart").replace("%i", instance).split()
        if str(config) in line:
            copied = _last(said, "LoadCredential").replace("%i", instance)
            name, _, source = copied.partition(":")
            credential = Path(source) if name == "credential.json" and source else None
            user = _last(said, "User") or _DEFAULT_USER
            program = Path(line[0].lstrip("@-:+!|"))
            name = f"{file.stem}{instance}"
            return Unit(name, file, user, credential, program, _hidden(said))
    return None


def _hidden(said: Mapping[str, list[str]]) -> tuple[Path, ...]:
    """Return the folders that ProtectHome= hides, without those of which a part is bound again."""
    if _last(said, "ProtectHome").lower() not in {"yes", "true", "on", "1", "tmpfs"}:
        return ()
    lines = said.get("BindPaths", []) + said.get("BindReadOnlyPaths", [])
    bound = [Path(each.lstrip("-").split(":")[-1]) for line in lines for each in line.split()]
    return tuple(home for home in _HOMES if not any(home in each.parents for each in bound))


def _last(said: Mapping[str, list[str]], key: str) -> str:
    return next(reversed(said.get(key, [])), "")


def _read(file: Path) -> Mapping[str, list[str]]:
    """Return the values of each key of a unit file and its drop-ins; an empty value resets it."""
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
        with suppress(OSError):  # not readable for us, or deleted
            text = each.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
            lines = text.splitlines()
            yield from (line for line in lines if not line.lstrip().startswith(("#", ";")))
