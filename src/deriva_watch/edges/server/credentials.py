"""Where the credential for the server comes from, and whether it has changed.

A file named in the settings or passed by systemd is parsed here: deriva's own reader would create
files and takes 0.3 s to import. Only deriva can renew a Globus login. Therefore, if its store of
Globus logins is beside the default file, deriva is asked; that may take a request to Globus.
"""

import os
import stat
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeGuard

from deriva_watch.core.errors import CredentialError
from deriva_watch.core.json_text import read_json, read_whole

_Stamp = tuple[int, int, int] | None


class Origin(StrEnum):
    """Who writes the credential file."""

    NAMED = "named"  # the operator; the settings name the file
    SYSTEMD = "systemd"  # systemd copies a file when it starts the service
    DERIVA = "deriva"  # deriva's login writes its default file
    GLOBUS = "globus"  # the same with Globus; deriva's store is asked


class CredentialSource:
    """The credential of one host, in deriva's format: `{"host": {"bearer-token": "…"}}`.

    Args:
        host: As in the settings, with its port if it has one.
        file: None means `$CREDENTIALS_DIRECTORY/credential.json` if systemd provides it, else
            deriva's own `~/.deriva/credential.json`.
        renewal_s: After this many seconds a Globus login counts as changed: its token expires
            without any file changing, and reading it renews it.
        origin: Who writes *file*.
    """

    def __init__(
        self,
        host: str,
        file: Path | None = None,
        renewal_s: float = 600,
        *,
        origin: Origin = Origin.NAMED,
    ) -> None:
        named = file or _from_systemd()
        home = Path(os.path.expanduser("~/.deriva"))  # noqa: PTH111 (never raises)
        self.file = named or home / "credential.json"
        self._host = host
        self._origin = origin if file else Origin.SYSTEMD
        self._renewal_s = renewal_s
        self._asked_at_s: float | None = None  # monotonic, when deriva was asked
        self._globus = None if named else home / "globus-credential.json"
        self._stamps: tuple[_Stamp, _Stamp] | None = None
        self._secrets: frozenset[str] = frozenset()

    def read(self) -> dict[str, str]:
        """Return `{"bearer-token": …}` or `{"cookie": …}`.

        Raises:
            CredentialError: There is no usable credential. The message never shows the content.
        """
        self._stamps = self._look()  # before reading, so that no change is missed
        entry = self._ask_deriva() if self.origin is Origin.GLOBUS else self._parse()
        if not isinstance(entry, dict):
            raise self._error(f"{self.file} has no entry for it")
        for kind in ("bearer-token", "cookie"):  # the first wins, as in deriva's bindings
            value = entry.get(kind)
            if _can_be_sent(value, kind):
                self._secrets |= {value, value.partition("=")[2]} - {""}
                return {kind: value}
        raise self._error(f"its entry in {self.file} has no bearer-token or cookie to send")

    def changed(self) -> bool:
        """Return whether `read` may find a different credential; costs two stats."""
        asked_s = None if self._asked_at_s is None else time.monotonic() - self._asked_at_s
        return self._look() != self._stamps or (asked_s is not None and asked_s > self._renewal_s)

    @property
    def origin(self) -> Origin:
        """Who writes the credential at present."""
        if self._globus is None:
            return self._origin
        return Origin.GLOBUS if self._globus.is_file() else Origin.DERIVA

    def renews_itself(self) -> bool:
        """Return whether deriva can renew it indefinitely: the Globus login has a refresh token."""
        if self.origin is not Origin.GLOBUS or self._globus is None:
            return False
        try:
            entries = _read(self._globus)
        except (OSError, ValueError):
            return False
        tokens = entries.values() if isinstance(entries, dict) else ()
        return any(isinstance(each, dict) and each.get("refresh_token") for each in tokens)

    def secrets(self) -> frozenset[str]:
        """Return every secret that was ever read; none of them may be logged."""
        return self._secrets

    def exposed(self) -> str | None:
        """Return a warning if every user of this machine can read the file."""
        try:
            open_to_all = self.file.stat().st_mode & stat.S_IROTH
        except OSError:
            return None
        warning = (
            f"{self.file} can be read by every user of this machine; run chmod 600 {self.file}"
        )
        return warning if open_to_all else None

    def _look(self) -> tuple[_Stamp, _Stamp]:
        return _stamp(self.file), _stamp(self._globus)

    def _parse(self) -> Any:
        try:
            entries = _read(self.file)
        except FileNotFoundError:
            raise self._error(f"there is no {self.file}") from None
        except OSError as error:
            raise self._error(
                f"{self.file} cannot be read ({error.strerror})",
                f"Let only the user of the daemon read it: chown it and chmod 600 {self.file}.",
            ) from None
        except ValueError:  # its text may quote the file
            raise self._error(f"{self.file} is not JSON") from None
        if not isinstance(entries, dict):
            raise self._error(f"{self.file} is not a JSON object with an entry for each host")
        return entries.get(self._host, entries.get(self._host.lower()))

    def _ask_deriva(self) -> Any:
        from deriva.core import get_credential

        self._asked_at_s = time.monotonic()
        try:
            return get_credential(self._host, update_bdbag_keychain=False)
        except (OSError, ValueError, RecursionError) as error:
            why = f"deriva cannot read {self.file.parent} ({type(error).__name__})"
            raise self._error(why) from None

    def _error(self, why: str, remedy: str = "") -> CredentialError:
        login = f"Run deriva-globus-auth-utils login --host {self._host}."
        if self._globus is None:
            login = f'Write {{"{self._host}": {{"bearer-token": "…"}}}} into {self.file}.'
        return CredentialError(f"cannot log in to {self._host}", why, remedy or login)


def _from_systemd() -> Path | None:
    """Return the file that `LoadCredential=credential.json:…` of the unit provides."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(directory or "/nonexistent", "credential.json")
    try:
        file.stat()
    except FileNotFoundError:
        return None
    except OSError:
        pass  # reading it reports what is wrong
    return file


def _read(file: Path) -> Any:
    with file.open("rb") as content:
        return read_json(read_whole(content, 1 << 20))


def _stamp(file: Path | None) -> _Stamp:
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size) if found else None


def _can_be_sent(value: object, kind: str) -> TypeGuard[str]:
    """Return whether deriva and requests can send *value*; their own errors would show it."""
    return (
        isinstance(value, str)
        and value.isascii()
        and value.isprintable()
        and value == value.strip() != ""
        and (kind != "cookie" or "=" in value)
    )
