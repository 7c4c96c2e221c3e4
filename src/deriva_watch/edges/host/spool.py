"""Pending orders: small files in the state directory.

    a command ─ leave ─▶ <state>/orders/<time>-<number>.json ─ pending ─▶ the part that does it

A file is removed after its order was carried out, so that no order is lost. A file that is not an
order is set aside.
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
from deriva_watch.core.json_text import read_json, read_whole
from deriva_watch.core.orders.orders import Order, parse

_ASIDE: Final = ".set-aside"
_LONGEST_BYTES: Final = 1 << 24  # an order with the paths of a hundred thousand files

O_ = TypeVar("O_", bound=Order)


@dataclass(frozen=True, slots=True)
class PendingOrder(Generic[O_]):
    """An order that has not been carried out."""

    order: O_
    path: Path

    def remove(self) -> None:
        """Remove it after it was carried out. Raises SettingsError if it cannot be removed."""
        with _explained("process the orders in", self.path.parent):
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Orders:
    """The folder with the orders."""

    folder: Path

    def leave(self, order: Order) -> Path:
        """Write an order; a running daemon takes it within a second, else the next one does.

        Returns the file, which exists until the order is carried out. It belongs to the owner of
        the state directory, the daemon's user, even if root writes it.

        Raises SettingsError if it cannot be written.
        """
        path = self.folder / f"{time.time_ns():020}-{uuid4().hex[:8]}.json"  # in order of time
        hidden = path.with_suffix(".new")
        with _explained("write an order to", self.folder):
            self._make_folder()
            with hidden.open("x") as file:
                json.dump(order.document(), file)
                file.flush()
                self._give_away(file.fileno())  # the name could be another file by now
                os.fsync(file.fileno())
            hidden.rename(path)
        return path

    def pending(self, emit: Emit, *kinds: type[O_]) -> Iterator[PendingOrder[O_]]:
        """Yield the orders of *kinds* in the order given; the caller removes each when it is done.

        A file that is not an order is set aside and reported to *emit*.

        Raises SettingsError if the folder or an order cannot be read.
        """
        for path in self._files(".json"):
            try:
                order = self._read(path)
            except ValueError as error:
                self.set_aside(path, str(error), emit)
                continue
            if isinstance(order, kinds):
                yield PendingOrder(order, path)

    def are_there(self) -> bool:
        """Return whether any order is pending; SettingsError if the folder cannot be read."""
        return bool(self._files(".json"))

    def set_aside(self, path: Path, why: str, emit: Emit) -> None:
        """Set an order aside and report it to *emit*; SettingsError if that fails."""
        to = path.with_suffix(_ASIDE)
        with _explained("set aside orders in", self.folder), suppress(FileNotFoundError):
            path.rename(to)
            emit(OrderRefused(path=str(to), why=why, next=_next(to)))

    def trouble(self) -> TroubleError | None:
        """Return an error about the files that were set aside, or None.

        Raises SettingsError if the folder cannot be read.
        """
        aside = self._files(_ASIDE)
        if not aside:
            return None
        try:
            self._read(aside[0])
            why = "it could not be carried out; see the log"
        except ValueError as error:
            why = str(error)
        what = f"{len(aside)} orders in {self.folder} were set aside"
        return TroubleError(what, f"{aside[0].name}: {why}", _next(aside[0]))

    def _read(self, path: Path) -> Order | None:
        """Return an order, or None if it was just removed; ValueError if it is not an order."""
        with _explained("process the orders in", self.folder):
            try:
                found = path.lstat()
                if not stat.S_ISREG(found.st_mode):
                    raise ValueError("it is not a regular file")
                if found.st_uid not in {0, os.geteuid(), self.folder.stat().st_uid}:
                    raise ValueError(f"it belongs to user {found.st_uid}")
                with path.open("rb") as file:
                    text = read_whole(file, _LONGEST_BYTES)
            except FileNotFoundError:
                return None
        return parse(read_json(text))

    def _files(self, suffix: str) -> list[Path]:
        with _explained("process the orders in", self.folder):
            self._make_folder()
            names = sorted(os.listdir(self.folder))  # noqa: PTH208  # glob says nothing of rights
        return [self.folder / name for name in names if name.endswith(suffix)]

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, exist_ok=True)  # another thread may have made it
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
    return f"Run the command again if you still want it, and remove {path}."


@contextmanager
def _explained(verb: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"cannot {verb} {folder}",
            f"{error.strerror}: {error.filename}",
            "Give it to the user that runs deriva-watch, or run the command as that user.",
        ) from error
