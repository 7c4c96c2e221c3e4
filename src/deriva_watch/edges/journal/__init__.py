"""The journal: the state and history of every unit and file, in one database.

journal          Journal, which the daemon holds and writes
readonly         how other processes open and check a journal
reader           the queries; `status_queries` and `removal_queries` are the larger groups
writer           one thread that writes what many threads ask for, in shared transactions
transaction      one transaction: states move by `core.states`, each with a line of history
row_cache        what a transaction has read and will write
history          the line of history and the event of a change
schema           the tables
problems         the errors of a journal that cannot be used
database         the SQLite file: open, lock, migrate, replace when damaged
"""

from deriva_watch.edges.journal.journal import Journal
from deriva_watch.edges.journal.reader import Reader
from deriva_watch.edges.journal.readonly import Examined, examine, holder, open_readonly
from deriva_watch.edges.journal.transaction import Batch

__all__ = ["Batch", "Examined", "Journal", "Reader", "examine", "holder", "open_readonly"]
