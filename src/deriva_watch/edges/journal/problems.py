"""The errors of a journal that cannot be used."""

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
from deriva_watch.core.records import DamagedJournal

_RIGHTS: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY")
_HELD: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")


@contextmanager
def explained(verb: str, journal: Path, *, in_use: bool = False) -> Iterator[None]:
    """Turn errors of the disk and the database into errors for a person.

    A journal that is *in_use* could be opened and written before: wrong permissions or a missing
    folder are then no fault of the settings, and may pass.
    """
    try:
        yield
    except OSError as error:
        if trouble := passing(f"cannot {verb} the journal {journal}", error):
            raise trouble from error
        why = f"{error.strerror}: {error.filename}"
        made = unusable if in_use else _unwritable
        raise made(verb, journal, why) from error
    except OperationalError as error:  # full, busy, input/output error, permissions
        name = getattr(error.orig, "sqlite_errorname", "")
        if name.startswith(_HELD):
            raise _locked(verb, journal, str(error.orig)) from error
        out_of_descriptors = name.startswith("SQLITE_CANTOPEN") and _may_be_opened(journal)
        may_pass = in_use or out_of_descriptors or not name.startswith(_RIGHTS)
        made = unusable if may_pass else _unwritable
        raise made(verb, journal, str(error.orig)) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a constraint or a statement: our bug
            raise
        raise damaged(journal, str(error.orig)) from error


def _may_be_opened(journal: Path) -> bool:
    """Return True if permissions allow to read it: SQLite does not say that descriptors ran out."""
    return os.access(journal, os.R_OK) and os.access(journal.parent, os.R_OK | os.X_OK)


def _unwritable(verb: str, journal: Path, why: str) -> SettingsError:
    """The path, or the permissions there, are wrong."""
    return SettingsError(
        f"cannot {verb} the journal {journal}",
        why,
        "Give the user that runs deriva-watch access to it, or set another file in [journal] url.",
    )


def unusable(verb: str, journal: Path, why: str) -> TransientError:
    """The disk, not the database, has a problem."""
    return TransientError(
        f"cannot {verb} the journal {journal}",
        why,
        "Check its disk (space, permissions, health) and how many files the daemon may open "
        "(LimitNOFILE). What was not written is done again.",
    )


def _locked(verb: str, journal: Path, why: str) -> TransientError:
    """Another program holds the database for too long."""
    return TransientError(
        f"cannot {verb} the journal {journal}",
        why,
        "Stop the program that locks it (a backup, sqlite3); work then continues automatically.",
    )


def damaged(journal: Path, why: str) -> JournalDamagedError:
    """The file is not a sound database."""
    return JournalDamagedError(
        f"cannot use the journal {journal}",
        f"it is damaged ({why})",
        "Start the daemon (systemd does so automatically): it renames the file, starts a new "
        "journal, and finds out from disk, receipts and server what is uploaded.",
    )


def gone(journal: Path) -> JournalDamagedError:
    """The file was deleted or moved while it was in use."""
    return JournalDamagedError(
        f"cannot use the journal {journal}",
        "it was deleted or moved while it was in use",
        "Start the daemon (systemd does so automatically): it starts a new journal, and finds out"
        " from disk, receipts and server what is uploaded.",
    )


def replaced(journal: Path, previous: DamagedJournal) -> TroubleError:
    """*journal* is a new one; *previous* was damaged."""
    return TroubleError(
        f"the journal {journal} is new: the previous one is now {previous.path}",
        previous.why,
        "The daemon finds out again what is uploaded, and nothing is sent twice. Delete that file "
        "when nobody needs it any more.",
    )


def missing(journal: Path) -> TroubleError:
    """No daemon has written a journal here yet."""
    return TroubleError(
        f"there is no journal {journal}",
        "no daemon has used it yet",
        "Start one with `deriva-watch run`, or check [journal] url.",
    )


def other_release(journal: Path, found: str, known: str) -> TroubleError:
    """Another release wrote the tables: revision *found*, where this one has *known*."""
    if found > known:
        why = f"a newer deriva-watch wrote it (revision {found}; this one knows {known})"
        remedy = "Install that version again, or set another file in [journal] url."
    else:
        why = f"an older deriva-watch wrote it (revision {found}; this one reads {known})"
        remedy = "Start this version's daemon once: it upgrades the journal."
    return TroubleError(f"cannot use the journal {journal}", why, remedy)
