"""After a clean stop the journal is not checked again: a check reads all of a large file.

The note of a clean stop is the last thing that a holder writes into the lock file, after the
database is complete in one file and closed. The next holder removes it before it opens the journal.
It describes the file, so that a journal that anybody changed meanwhile is checked all the same.
"""

from pathlib import Path


def note(journal: Path, inode: int) -> str:
    """Return the note of a clean stop of the closed *journal*; "" if it is not complete.

    Args:
        journal: The file.
        inode: Of the file that was opened.
    """
    try:
        found = journal.stat()
    except FileNotFoundError:
        return ""
    if found.st_ino != inode or journal.with_name(f"{journal.name}-wal").exists():
        return ""
    return f"clean {inode} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def is_known(journal: Path, left: str) -> bool:
    """Return whether *left*, the note of the previous holder, describes *journal* as it is."""
    return bool(left) and left == note(journal, journal.stat().st_ino)
