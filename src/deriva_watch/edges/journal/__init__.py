"""The journal: the state and history of every unit and file, in one database.

journal          Journal, which the daemon holds and writes
readonly         how other processes open and check a journal
reader           the queries; `status_queries` and `removal_queries` are the larger groups
writer           one thread that writes what many threads ask for, in shared transactions
transaction      one transaction: states move by `core.states`, each with a line of history
prepared         the statements that every file needs, as text
stored_rows      rows of a table as records, by such statements; `stored_tables` has all tables
row_cache        what a transaction has read and will write
pruning          deletes old history
history          the line of history and the event of a change
schema           the tables
problems         the errors of a journal that cannot be used
database         the SQLite file: open, lock, migrate, replace when damaged

The names below are imported when they are first used: who only reads needs nothing that writes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from deriva_watch.edges.journal.journal import Journal
    from deriva_watch.edges.journal.reader import Reader
    from deriva_watch.edges.journal.readonly import Examined, examine, holder, open_readonly
    from deriva_watch.edges.journal.transaction import Batch

__all__ = ["Batch", "Examined", "Journal", "Reader", "examine", "holder", "open_readonly"]

_HOMES: Final = {"Batch": "transaction", "Journal": "journal", "Reader": "reader"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'readonly')}"), name)
