"""Whether a user can execute a program: every folder on the way, every link, and its interpreter.

Python from pyenv or uv is often in somebody's home: the script is for everyone, and the interpreter
behind its links is not.
"""

import os
import pwd
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HEAD_BYTES: Final = 1024
# "#!/path/of/python", or what installers write where that would be too long.
_INTERPRETER: Final = re.compile(rb"""\A#!\s*(?:/bin/sh\s*\n'''exec'\s*"?)?(/[^\s"]+)""")
_LINKS: Final = 40  # as many as the kernel follows


@dataclass(frozen=True, slots=True)
class User:
    """A user, with what decides about access by the modes of files."""

    name: str
    number: int
    groups: Collection[int]

    @classmethod
    def named(cls, name: str) -> "User | None":
        """Return the user of that name or number, or None."""
        try:
            found = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        except KeyError:
            return None
        groups = os.getgrouplist(found.pw_name, found.pw_gid)
        return cls(found.pw_name, found.pw_uid, groups)

    def may_execute(self, found: os.stat_result) -> bool:
        """Return whether the user may execute a file, or enter a folder."""
        if self.number == 0:
            return stat.S_ISDIR(found.st_mode) or bool(found.st_mode & 0o111)
        if self.number == found.st_uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid in self.groups:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & stat.S_IXOTH)


def obstacle(program: Path, user: User, hidden: Collection[Path] = ()) -> str | None:
    """Return why *user* cannot execute *program*, as far as modes tell, or None.

    *hidden* are folders that the user does not see. OSError if we may not look ourselves.
    """
    path = str(program)
    for _ in range(2):  # the program, then its interpreter
        try:
            file = _reached(path, user, hidden)
        except _Obstacle as found:
            return str(found)
        with Path(file).open("rb") as opened:
            script = _INTERPRETER.match(opened.read(_HEAD_BYTES))
        if script is None:
            return None
        path = os.fsdecode(script[1])
    return None


class _Obstacle(Exception):  # noqa: N818  # it is caught here
    """Why a path cannot be reached."""


def _reached(path: str, user: User, hidden: Collection[Path]) -> str:
    """Return where *path* leads, if the user can execute that; raise _Obstacle otherwise."""
    at, left, links = "/", [name for name in reversed(path.split("/")) if name], 0
    while left:
        name = left.pop()
        at = os.path.dirname(at) if name == ".." else os.path.join(at, name)  # noqa: PTH118,PTH120
        if Path(at) in hidden:
            raise _Obstacle(f"{path} leads into {at}, which ProtectHome= of the service hides")
        try:
            found = os.lstat(at)
        except FileNotFoundError:
            raise _Obstacle(f"{path} leads to {at}, which does not exist") from None
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _LINKS:
                raise _Obstacle(f"{path} has too many links")
            target = os.readlink(at)  # noqa: PTH115  # no Path is needed
            at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120
            left += [name for name in reversed(target.split("/")) if name not in {"", "."}]
        elif not user.may_execute(found):
            what = "execute" if stat.S_ISREG(found.st_mode) else "enter"
            mode = stat.S_IMODE(found.st_mode)
            raise _Obstacle(f"{user.name} may not {what} {at} (mode {mode:04o})")
    return at
