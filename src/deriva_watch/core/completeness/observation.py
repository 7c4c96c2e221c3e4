"""What a look at an execution directory saw: values, made by the scanner, read by everyone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

RECEIPT_NAME: Final = "deriva-watch-receipt.json"
"""The copy of the receipt in an execution directory; never an entry."""

ROWS_NAME: Final = "deriva-watch-rows.jsonl"
"""What belongs to it: the RIDs of rows that have no key; never an entry either."""

OWN_PREFIX: Final = ".deriva-watch-"
"""How our own temporary files in an execution directory begin; never entries."""

ASIDE_NAME: Final = ".deriva-watch-aside"
"""Directory beside uploaded files where one lies while it is verified, before it is removed."""

DirectoryStamp = tuple[int, int, int]
"""Change time (ns), device and inode of a directory: the time moves with every name in it."""


SECRET_FOLDERS: Final = frozenset({".deriva", ".ssh", ".globus"})
"""Folders of a home directory that hold what proves who somebody is; nothing in them is data."""


class Kind(StrEnum):
    """What an entry is, once a link has been followed as far as the policy allows."""

    CONTENT = "content"  # a regular file, or a link that may be followed to one
    IGNORED = "ignored"  # its name matches [files] ignore
    UNUSABLE = "unusable"  # FIFO, socket, device, dangling or forbidden link, unreadable


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in an execution directory that is not a directory.

    Attributes:
        path: Below the execution directory, "/" between segments; bytes that are not UTF-8 stand
            as surrogates (PEP 383).
        size_bytes: Of the file that the name leads to.
        mtime_ns: Modification time of that file, nanoseconds since the epoch.
        device: Number of the file system that holds the file.
        inode: Number of the file there: (device, inode) is the same for two links to one file.
        link: The name is a symbolic link, or lies in a directory that is one.
        target: Where a link leads: absolute, without further links; None for any other name.
        problem: Why it cannot be uploaded, as a sentence, where `kind` is UNUSABLE.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    device: int
    inode: int
    link: bool = False
    target: str | None = None
    kind: Kind = Kind.CONTENT
    problem: str | None = None

    @property
    def identity(self) -> tuple[int, int]:
        """The file behind the name, whatever it is called."""
        return self.device, self.inode

    @property
    def stamp(self) -> tuple[int, int, int, int]:
        """What must not move between two looks for the content to count as the same."""
        return self.size_bytes, self.mtime_ns, self.device, self.inode


@dataclass(frozen=True, slots=True)
class Observation:
    """One complete look at an execution directory.

    Attributes:
        root: Absolute path of the execution directory.
        entries: By path. Directories do not count, nor do receipts of our own.
        looked_at: When the look began, UTC by this host's clock.
        unreadable: Directories below that could not be listed, with the reason.
        directories: Every directory that was listed, by its real path.
    """

    root: str
    entries: Mapping[str, Entry]
    looked_at: datetime
    unreadable: Mapping[str, str]
    directories: Mapping[str, DirectoryStamp] = field(default_factory=dict)

    def changed_at(self) -> datetime:
        """Return when it last changed, as far as times tell: a copy may give files older ones."""
        times = [entry.mtime_ns for entry in self.entries.values()]
        times += [changed_ns for changed_ns, _, _ in self.directories.values()]
        return datetime.fromtimestamp(max(times, default=0) / 1e9, UTC)

    def digest(self) -> str:
        """Return what changes if and only if names or stamps change; ignored files do not count."""
        state = hashlib.sha256()
        for path in sorted(self.entries):
            entry = self.entries[path]
            if entry.kind is not Kind.IGNORED:
                state.update(
                    f"{path}\0{entry.stamp}\0{entry.kind}\n".encode(errors="surrogateescape")
                )
        for path in sorted(self.unreadable):
            state.update(f"unreadable {path}\0".encode(errors="surrogateescape"))
        return state.hexdigest()


class HolderMethod(StrEnum):
    """How it was found out who holds files open for writing."""

    PROC = "proc"  # the descriptors of every process of this host were read
    LEASE = "lease"  # the kernel was asked for a read lease on every file
    UNKNOWN = "unknown"  # neither was possible for all of them


@dataclass(frozen=True, slots=True)
class Holders:
    """Which files of an execution directory some process of this host has open for writing.

    Attributes:
        open: Paths as `Entry.path`. With UNKNOWN there may be more.
        method: How far the answer can be trusted.
    """

    open: frozenset[str]
    method: HolderMethod
