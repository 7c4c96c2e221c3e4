"""Where orders lie until they are carried out: small files in the state directory.

    a command ─ leave ─▶ <state>/orders/<time>-<number>.json ─ lying ─▶ who carries that kind out

A file goes once its order is carried out, so that none is lost; one that is no order is set aside.
"""

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar
from uuid import uuid4

from deriva_watch.core.errors import SettingsError, TroubleError
from deriva_watch.core.events import Emit, OrderRefused
from deriva_watch.core.orders.orders import Order, parse

_ASIDE: Final = ".set-aside"
_LONGEST_BYTES: Final = 1 << 24  # of an order: paths of a hundred thousand files

O_ = TypeVar("O_", bound=Order)


@dataclass(frozen=True, slots=True)
class Lying(Generic[O_]):
    """An order that waits to be carried out."""

    order: O_
    path: Path

    def remove(self) -> None:
        """Forget it: it is carried out. SettingsError where that cannot be."""
        with _explained("take the orders in", self.path.parent):
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Orders:
    """The folder that orders lie in."""

    folder: Path

    def leave(self, order: Order) -> Path:
        """Leave an order; a running daemon takes it within a second, else the next one does.

        Returns the file, which is there until it is carried out.

        It belongs to the daemon's user, whom the state directory belongs to, also where root
        leaves it.

        Raises SettingsError where it cannot be left.
        """
        path = self.folder / f"{time.time_ns():020}-{uuid4().hex[:8]}.json"  # in order of time
        hidden = path.with_suffix(".new")
        with _explained("leave an order in", self.folder):
            self._make_folder()
            with hidden.open("x") as file:
                json.dump(order.document(), file)
                file.flush()
                self._give_away(file.fileno())  # by its name it may be another file by now
                os.fsync(file.fileno())
            hidden.rename(path)
        return path

    def lying(self, emit: Emit, *kinds: type[O_]) -> Iterator[Lying[O_]]:
        """Yield the orders of *kinds* as they were given; whoever carried one out removes it.

        Those of other kinds are another's. What is no order is set aside, and told to *emit*.

        Raises SettingsError where the folder, or an order, cannot be read.
        """
        for path in self._files(".json"):
            try:
                order = self._read(path)
            except ValueError as error:
                self.set_aside(path, str(error), emit)
                continue
            if isinstance(order, kinds):
                yield Lying(order, path)

    def are_there(self) -> bool:
        """Tell whether any order waits to be carried out; SettingsError where nobody may look."""
        return bool(self._files(".json"))

    def set_aside(self, path: Path, why: str, emit: Emit) -> None:
        """Leave an order out, and tell *emit*; SettingsError where that cannot be."""
        to = path.with_suffix(_ASIDE)
        with _explained("set orders aside in", self.folder), suppress(FileNotFoundError):
            path.rename(to)
            emit(OrderRefused(path=str(to), why=why, next=_next(to)))

    def trouble(self) -> TroubleError | None:
        """Return what a person should know of the files that were set aside, if there are any.

        Raises SettingsError where the folder cannot be read.
        """
        aside = self._files(_ASIDE)
        if not aside:
            return None
        try:
            self._read(aside[0])
            why = "it could not be carried out; the log tells why"
        except ValueError as error:
            why = str(error)
        what = f"{len(aside)} orders in {self.folder} were set aside"
        return TroubleError(what, f"{aside[0].name}: {why}", _next(aside[0]))

    def _read(self, path: Path) -> Order | None:
        """Return an order; None: somebody else has just removed it. ValueError: it is none."""
        with _explained("take the orders in", self.folder):
            try:
                found = path.lstat()
                if not stat.S_ISREG(found.st_mode):
                    raise ValueError("it is no file")
                if found.st_uid not in {0, os.geteuid(), self.folder.stat().st_uid}:
                    raise ValueError(f"it belongs to user {found.st_uid}")
                with path.open("rb") as file:
                    text = file.read(_LONGEST_BYTES)
            except FileNotFoundError:
                return None
        try:
            return parse(json.loads(text))
        except RecursionError:
            raise ValueError("it is no order, but brackets") from None

    def _files(self, suffix: str) -> list[Path]:
        with _explained("take the orders in", self.folder):
            self._make_folder()
            names = sorted(os.listdir(self.folder))  # noqa: PTH208  # glob says nothing of rights
        return [self.folder / name for name in names if name.endswith(suffix)]

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, exist_ok=True)  # another thread may be as far
            folder = os.open(self.folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._give_away(folder)
            finally:
                os.close(folder)

    def _give_away(self, descriptor: int) -> None:
        if os.geteuid() == 0:
            owner = self.folder.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _next(path: Path) -> str:
    return f"Give the command again, if it is still wanted, and remove {path}."


@contextmanager
def _explained(verb: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot {verb} {folder}",
            f"{error.strerror}: {error.filename}",
            "Let the user that runs deriva-watch have it, or give the command as that user.",
        ) from error
