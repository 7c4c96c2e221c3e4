"""Observations of directories: the scanner makes these values."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

RECEIPT_NAME: Final = "deriva-watch-receipt.json"
"""Name of the copy of the receipt in an execution directory; never an entry."""

ROWS_NAME: Final = "deriva-watch-rows.jsonl"
"""Name of its companion with the RIDs of rows without a key; never an entry."""

OWN_PREFIX: Final = ".deriva-watch-"
"""Prefix of the names of our temporary files in an execution directory; never entries."""

ASIDE_NAME: Final = ".deriva-watch-aside"
"""Name of the directory where an uploaded file is kept while it is verified before its removal."""

_OWN_NAMES: Final = re.compile(rf"{re.escape(OWN_PREFIX)}(aside|ignore|(probe-)?[0-9a-f]{{16}})")
RESERVED: Final = (
    f"its name begins with {OWN_PREFIX}, which is reserved for deriva-watch: rename it"
)
"""Why a name with our prefix that we did not make is not uploaded."""


def is_own(name: str) -> bool:
    """Return whether this is a name that we make, or that of an ignore file."""
    return name in {RECEIPT_NAME, ROWS_NAME} or _OWN_NAMES.fullmatch(name) is not None


Stamp = tuple[int, int, int]
"""Size, modification time (ns) and inode of a file. The device is not part of it: file systems get
other device numbers when they are mounted again."""

DirectoryStamp = tuple[int, int, int]
"""Change time (ns), device and inode of a directory: every change of a name in it changes them."""


SECRET_FOLDERS: Final = frozenset({".deriva", ".ssh", ".globus"})
"""Folders of a home directory that hold credentials; nothing in them is data."""


ALIAS: Final = "it is another name of a folder that is here already"
"""Why a linked folder is not listed, if nothing is missing without it."""


class Kind(StrEnum):
    """The kind of an entry, after following a link as far as the policy allows."""

    CONTENT = "content"  # a regular file, or a link that may be followed to one
    IGNORED = "ignored"  # by [files] ignore or an ignore file
    UNUSABLE = "unusable"  # FIFO, socket, device, dangling or forbidden link, unreadable


def path_number(path: str) -> int:
    """Return a number that replaces the inode number of a file where those do not stay.

    *path* is absolute and has no links.
    """
    name = path.encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=7).digest())


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in an execution directory that is not a directory.

    Attributes:
        path: Below the execution directory, "/" between segments; bytes that are not UTF-8 are
            surrogates (PEP 383).
        size_bytes: Of the file that the name leads to.
        mtime_ns: Modification time of that file, nanoseconds since the epoch.
        device: Number of the file system that holds the file.
        inode: Number of the file there: (device, inode) is the same for two links to one file.
            `path_number` where inode numbers do not stay.
        link: The name is a symbolic link, or is in a directory that is one.
        target: The target of a link: absolute, without further links; None for any other name.
        problem: Why it is not uploaded, as a sentence, if `kind` is IGNORED or UNUSABLE.
        ctime_ns: When content or attributes last changed, nanoseconds since the epoch. Unlike
            `mtime_ns`, no program can set it back; but links, modes and renames move it too.
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
    ctime_ns: int = field(default=0, compare=False)

    @property
    def identity(self) -> tuple[int, int]:
        """Identifies the file behind the name; equal for two links to one file."""
        return self.device, self.inode

    @property
    def stamp(self) -> Stamp:
        """Changes whenever the content may have changed."""
        return self.size_bytes, self.mtime_ns, self.inode


@dataclass(frozen=True, slots=True)
class Observation:
    """One complete scan of an execution directory.

    Attributes:
        root: Absolute path of the execution directory.
        entries: By path, without directories and our own receipts.
        looked_at: When the scan began, UTC by this host's clock.
        unreadable: Directories below that could not be listed, with the reason.
        directories: Every directory that was listed, by its real path.
        owner: User ID of the owner of the execution directory; None: not known.
        skipped: Names below that were passed over as a whole, and ignore files that do not count,
            each with the reason.
        owners: User IDs of the owners of entries that *owner* does not own; of a link, its own.
        disbelieved: Entries that say something of others and do not count, each with the reason.
    """

    root: str
    entries: Mapping[str, Entry]
    looked_at: datetime
    unreadable: Mapping[str, str]
    directories: Mapping[str, DirectoryStamp] = field(default_factory=dict)
    owner: int | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, int] = field(default_factory=dict)
    disbelieved: Mapping[str, str] = field(default_factory=dict)

    @property
    def unlisted(self) -> dict[str, str]:
        """The directories below whose files are not known, with the reason."""
        return {path: why for path, why in self.unreadable.items() if why != ALIAS}

    def changed_at(self) -> datetime:
        """Return the latest time of a file or directory; a copy may have older times."""
        times = [entry.mtime_ns for entry in self.entries.values()]
        times += [changed_ns for changed_ns, _, _ in self.directories.values()]
        return datetime.fromtimestamp(max(times, default=0) / 1e9, UTC)

    def is_hidden(self, path: str) -> bool:
        """Return whether *path* is below a directory that could not be listed."""
        return any(each == "." or path.startswith(f"{each}/") for each in self.unreadable)

    def digest(self) -> str:
        """Return a digest of all names and stamps, without ignored files.

        It also changes when a file begins or ceases to count.
        """
        state = hashlib.sha256()
        for path in sorted(self.entries):
            entry = self.entries[path]
            if entry.kind is not Kind.IGNORED:
                state.update(
                    f"{path}\0{entry.stamp}\0{entry.kind}\n".encode(errors="surrogateescape")
                )
        for path in sorted(self.unreadable):
            state.update(f"unreadable {path}\0".encode(errors="surrogateescape"))
        for path in sorted(self.disbelieved):
            state.update(f"disbelieved {path}\0".encode(errors="surrogateescape"))
        return state.hexdigest()


class HolderMethod(StrEnum):
    """How open files were found."""

    PROC = "proc"  # the descriptors of every process of this host were read
    LEASE = "lease"  # the kernel was asked for a read lease on every file
    UNKNOWN = "unknown"  # neither was possible for all of them


@dataclass(frozen=True, slots=True)
class Holders:
    """The files of an execution directory that processes of this host have open for writing.

    Attributes:
        open: Paths as `Entry.path`. With UNKNOWN there may be more.
        method: How they were found.
    """

    open: frozenset[str]
    method: HolderMethod
