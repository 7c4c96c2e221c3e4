"""What is said of a journal that cannot be used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DatabaseError, OperationalError

from deriva_watch.core.errors import (
    JournalDamagedError,
    SettingsError,
    TransientError,
    TroubleError,
)
from deriva_watch.core.os_errors import passing
from deriva_watch.core.records import SetAside

_RIGHTS: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY")
_HELD: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


@contextmanager
def explained(verb: str, journal: Path, *, in_use: bool = False) -> Iterator[None]:
    """Turn what the disk and the database say into a sentence for a person.

    Where it is *in_use* it could be opened and written before: what is wrong with its place or
    its rights is no matter of settings, and may pass.
    """
    try:
        yield
    except OSError as error:
        if trouble := passing(f"cannot {verb} the journal {journal}", error):
            raise trouble from error
        why = f"{error.strerror}: {error.filename}"
        made = unusable if in_use else unwritable
        raise made(verb, journal, why) from error
    except OperationalError as error:  # full, busy, input/output error; or nobody's to write
        name = getattr(error.orig, "sqlite_errorname", "")
        if name.startswith(_HELD):
            raise locked(verb, journal, str(error.orig)) from error
        lacking = name.startswith("SQLITE_CANTOPEN") and _may_be_opened(journal)
        may_pass = in_use or lacking or not name.startswith(_RIGHTS)
        made = unusable if may_pass else unwritable
        raise made(verb, journal, str(error.orig)) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a constraint or a statement: our bug
            raise
        raise damaged(journal, str(error.orig)) from error


def _may_be_opened(journal: Path) -> bool:
    """Tell whether rights allow it: then it is descriptors that lack; SQLite does not tell."""
    return os.access(journal, os.R_OK) and os.access(journal.parent, os.R_OK | os.X_OK)


def unwritable(verb: str, journal: Path, why: str) -> SettingsError:
    """Return what to say where the place, or who may write there, is wrong."""
    return SettingsError(
        f"cannot {verb} the journal {journal}",
        why,
        "Let the user that runs deriva-watch have it, or name another in [journal] url.",
    )


def unusable(verb: str, journal: Path, why: str) -> TransientError:
    """Return what to say where the disk, not the database, is the trouble."""
    return TransientError(
        f"cannot {verb} the journal {journal}",
        why,
        "See to its disk (room, rights, health), and to how many files the daemon may open "
        "(LimitNOFILE); what was not written is done again.",
    )


def locked(verb: str, journal: Path, why: str) -> TransientError:
    """Return what to say where another program holds the database for too long."""
    return TransientError(
        f"cannot {verb} the journal {journal}",
        why,
        "End the program that holds it (a backup, sqlite3); then work goes on by itself.",
    )


def damaged(journal: Path, why: str) -> JournalDamagedError:
    """Return what to say of a file that is no sound database."""
    return JournalDamagedError(
        f"cannot use the journal {journal}",
        f"it is damaged ({why})",
        "Start the daemon (systemd does so by itself): it sets the file aside and finds out anew,"
        " on disk, in receipts and on the server, what is in.",
    )


def gone(journal: Path) -> JournalDamagedError:
    """Return what to say where the file was taken away from those who work with it."""
    return JournalDamagedError(
        f"cannot use the journal {journal}",
        "it was deleted or moved while it was in use",
        "Start the daemon (systemd does so by itself): it begins a new one and finds out anew,"
        " on disk, in receipts and on the server, what is in.",
    )


def was_set_aside(journal: Path, each: SetAside) -> TroubleError:
    """Return what to say of a journal that this one comes after."""
    return TroubleError(
        f"the journal {journal} is a new one: the one before lies in {each.path}",
        each.why,
        "What it knew is found out anew, and nothing is sent twice. Delete that file once nobody"
        " wants to look at it.",
    )


def missing(journal: Path) -> TroubleError:
    """Return what to say where no daemon has written yet."""
    return TroubleError(
        f"there is no journal {journal}",
        "no daemon has worked with it yet",
        "Start one with `deriva-watch run`, or see whether [journal] url is what you meant.",
    )


def of_other_release(journal: Path, found: str, known: str) -> TroubleError:
    """Return what to say of a journal whose tables are not ours."""
    if found > known:
        why = f"a newer deriva-watch wrote it (revision {found}; this one knows {known})"
        remedy = "Install that version again, or name another file in [journal] url."
    else:
        why = f"an older deriva-watch wrote it (revision {found}; this one reads {known})"
        remedy = "Start this version's daemon once: it brings the journal up to date."
    return TroubleError(f"cannot use the journal {journal}", why, remedy)
