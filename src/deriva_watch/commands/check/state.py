"""Checks the journal and its disk."""

import getpass
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ByteSize

from deriva_watch.commands.check.finding import Line
from deriva_watch.commands.check.session import Look
from deriva_watch.edges.journal import examine
from deriva_watch.edges.watching import mounts

LEAST_FREE_BYTES: Final = 256 * 1024**2


def journal(look: Look) -> Iterator[Line]:
    """Check that the journal is sound and of this release, and who has it open."""
    found = examine(look.settings.journal.url)
    facts = {
        "path": str(found.path),
        "revision": found.revision,
        "size_bytes": found.size_bytes,
        "held_by": found.holder,
    }
    if found.revision is None:
        yield Line(
            "journal", f"{found.path} does not exist yet; the daemon creates it", facts=facts
        )
        return
    held = f"process {found.holder} has it open" if found.holder else "no daemon has it open"
    what = f"{found.path} is sound, {_size(found.size_bytes)}, revision {found.revision}; {held}"
    if found.is_older:
        why = "an older release wrote it"
        yield Line.note("journal", what, why, "Start the daemon: it updates the journal.", facts)
    else:
        yield Line("journal", what, facts=facts)


def disk(look: Look) -> Iterator[Line]:
    """Check that the folder of the journal can be used."""
    folder = look.settings.state_directory
    there = next(each for each in (folder, *folder.parents) if each.exists())
    kind = mounts.file_system(there)
    free_bytes = shutil.disk_usage(there).free
    facts = {"file_system": kind, "free_bytes": free_bytes, "is_there": there == folder}
    what = f"{folder}: {kind or 'unknown file system'}, {_size(free_bytes)} free"
    if trouble := _trouble(folder, there, kind, free_bytes):
        yield Line.wrong("disk", what, *trouble, facts)
    else:
        yield Line("disk", what, facts=facts)


def _trouble(folder: Path, there: Path, kind: str, free_bytes: int) -> tuple[str, str] | None:
    """Return why *folder* cannot hold a journal, and what to do; None: it can."""
    if not there.is_dir():
        return f"{there} is not a folder", "Name another file in [journal] url."
    user = getpass.getuser()
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        made = f"install -d -o {shlex.quote(user)} -m 700 {shlex.quote(str(folder))}"
        return f"{user} may not write to {there}", f"As root: {made}"
    if mounts.is_remote(kind):
        why = "other machines can write to it, and SQLite is safe only on a local disk"
        return why, "Name a file on a local disk in [journal] url."
    if free_bytes < LEAST_FREE_BYTES:
        return (
            f"less than {_size(LEAST_FREE_BYTES)} is free",
            "Free some space, or name another disk.",
        )
    return None


def _size(count_bytes: int) -> str:
    return ByteSize(count_bytes).human_readable(separator=" ")
