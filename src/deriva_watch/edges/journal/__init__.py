"""The journal: what every execution directory and file went through, in one database.

journal    the parts as one thing: Journal for the daemon, Reader for everybody else
writer     one thread that writes what many ask for, together
changes    one transaction: states move by `core.states`, with a line of history each
rows       the rows of one table while a transaction lasts
tally      how many files stand where
samples    what was sent and what waited, for a chart
telling    what is told of a change: its event and its line of history
reads      the questions that the daemon asks
overview   the questions of those who look on
asking     how a question is asked
schema     the tables; `revision` and `migrations` bring an older journal to them
sqlite     what only SQLite needs
lock       one daemon a journal
trouble    what is said of a journal that cannot be used
aside      what becomes of one that is damaged
examining  a look at one from outside, whole
"""

from deriva_watch.edges.journal.changes import Batch
from deriva_watch.edges.journal.examining import Examined, examine, holder
from deriva_watch.edges.journal.journal import Journal, Reader, open_readonly

__all__ = ["Batch", "Examined", "Journal", "Reader", "examine", "holder", "open_readonly"]
