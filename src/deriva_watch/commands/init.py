"""The first settings of a host: answers, each checked at once, written into a commented file.

The file is config.example.toml with the answers in it, so that it explains every other setting.
"""

import grp
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Any, Final

from pydantic import ValidationError

from deriva_watch.commands.check import Line, Verdict, check_parts
from deriva_watch.core.errors import SettingsError, TransientError
from deriva_watch.core.os_errors import reason
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import is_loopback
from deriva_watch.settings.sources import Origins

SERVICES: Final = Path("/etc/deriva-watch")  # config.toml, or NAME.toml of deriva-watch@NAME
_SERVICE: Final = "config.toml"
_OWN: Final = Path("~/.config/deriva-watch/config.toml")
_STATE: Final = Path("/var/lib/deriva-watch")  # StateDirectory of the unit
_GROUP: Final = "deriva-watch"  # of the service's user
_EXAMPLE: Final = "config.example.toml"
_HEAD: Final = "# deriva-watch: settings, written by `deriva-watch init`.\n#\n"
_REST: Final = '# A line that begins with "#" and a key'  # the rest is the same in any copy


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of the user; an empty value means that it was not given."""

    host: str = ""
    protocol: str = ""
    catalog: str = ""
    credential_file: Path | None = None
    ca_bundle: Path | None = None
    prefixes: tuple[Path, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return the sections `[server]` and `[[watch]]` that they fill in."""
        server = {
            "host": self.host,
            "catalog": self.catalog,
            "protocol": self.protocol or ("http" if is_loopback(self.host) else ""),
            "credential_file": str(self.credential_file or ""),
            "ca_bundle": str(self.ca_bundle or ""),
        }
        said = {key: value for key, value in server.items() if value}
        return {"server": said, "watch": [{"prefix": str(each)} for each in self.prefixes]}

    def settings(self) -> Settings:
        """Return the settings with these answers; SettingsError if one is not valid."""
        values = self.values()
        if not json.dumps(values, ensure_ascii=False).isprintable():
            why = "it has characters that a text file of settings cannot hold"
            raise SettingsError("this answer cannot be used", why, "Give another name.")
        try:
            return Settings(**values)
        except ValidationError as error:
            problems = Origins(None, values).problems_of(error, Settings)
            why, then = "this answer cannot be used", "Give another one."
            raise SettingsError("\n".join(problems), why, then) from None


def look(answers: Answers, file: Path, *titles: str) -> Iterator[Line]:
    """Yield the results of the last of the checks *titles*; it needs those before it.

    *file* is where the settings will be written.
    """
    for part in check_parts(answers.settings(), file, titles):
        lines = list(part.lines)
        if part.title == titles[-1]:
            yield from lines


def objection(lines: list[Line]) -> SettingsError | TransientError | None:
    """Return the first line that is wrong, as an error; None if all are well."""
    for line in lines:
        if line.verdict is Verdict.WRONG:
            return SettingsError(f"{line.about}: {line.what}", line.why, line.next)
        if line.verdict in {Verdict.AWAY, Verdict.UNSEEN}:
            return TransientError(f"{line.about}: {line.what}", line.why, line.next)
    return None


# ---------------------------------------------------------------------- the file


def place() -> Path:
    """Return the path of a service's settings for root, and of the user's own otherwise."""
    return SERVICES / _SERVICE if os.geteuid() == 0 else _OWN.expanduser()


def text_of(answers: Answers, file: Path) -> str:
    """Return the text of *file*."""
    text = _HEAD + _example()[_example().index(_REST) :]
    values = answers.values()
    for key, value in values["server"].items():
        text = _filled(text, "[server]", key, value)
    if file.parent == SERVICES:  # so that commands in a shell find the journal of the service
        state = _STATE if file.name == _SERVICE else _STATE / file.stem
        text = _filled(text, "[journal]", "url", f"sqlite:///{state}/journal.db")
    *first, last = values["watch"]
    text = _filled(text, "[[watch]]", "prefix", last["prefix"])
    more = "".join(f"[[watch]]\nprefix = {_toml(each['prefix'])}\n\n" for each in first)
    return text.replace("[[watch]]\n", f"{more}[[watch]]\n", 1)


def write(text: str, file: Path, *, force: bool) -> None:
    """Write *file*, completely or not at all; with *force* over an existing one."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        is_new = not file.parent.exists()
        file.parent.mkdir(parents=True, exist_ok=True)
        if is_new and file.parent == SERVICES:  # the service's user must reach it
            file.parent.chmod(0o755)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            _share(stream.fileno(), file)
            os.fsync(descriptor)
        if force:
            part.replace(file)
        else:
            file.hardlink_to(part)
    except FileExistsError:
        raise there(file) from None
    except OSError as error:
        then = "Name another file with --config, or run it as a user who may write there."
        raise SettingsError(f"cannot write {file}", reason(error), then) from None
    finally:
        part.unlink(missing_ok=True)


def there(file: Path) -> SettingsError:
    """Return the error for a file that must not be overwritten."""
    why = "it already exists, and somebody may have changed it"
    return SettingsError(f"cannot write {file}", why, "Edit it, or overwrite it with --force.")


def commands(file: Path) -> list[str]:
    """Return the next steps."""
    named = "" if file == place() else f" --config {quote(str(file))}"
    then = [f"deriva-watch check{named}"]
    if file.parent == SERVICES:
        name = "deriva-watch" if file.name == _SERVICE else f"deriva-watch@{quote(file.stem)}"
        return [*then, f"systemctl enable --now {name}", f"journalctl -u {name} -o cat"]
    return [*then, f"deriva-watch run{named}"]


def _share(descriptor: int, file: Path) -> None:
    """Let the user of the service read its settings, where there is one."""
    if os.geteuid() == 0 and file.parent == SERVICES:
        os.fchmod(descriptor, 0o640)
        with suppress(KeyError):
            os.fchown(descriptor, 0, grp.getgrnam(_GROUP).gr_gid)


def _example() -> str:
    packed = files("deriva_watch").joinpath(_EXAMPLE)  # in a wheel; else the tree has it
    return (packed if packed.is_file() else Path(__file__).parents[3] / _EXAMPLE).read_text("utf-8")


def _filled(text: str, section: str, key: str, value: str) -> str:
    """Return *text* with *value* at the first line of *key* in *section*."""
    head, _, rest = text.partition(f"\n{section}\n")
    line = rf"^#?{key} = .*$"
    filled = re.sub(line, lambda _: f"{key} = {_toml(value)}", rest, count=1, flags=re.MULTILINE)
    return f"{head}\n{section}\n{filled}"


def _toml(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # what we write is also TOML
