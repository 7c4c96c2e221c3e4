"""The executions and files that a command names; for a name that nobody has, the nearest ones."""

from collections.abc import Iterable
from shlex import quote

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.prose import nearest
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Reader


def executions(reader: Reader, rid: str, what: str) -> list[ExecutionRecord]:
    """Return the executions, or units of drop folders, that are named *rid*.

    Raises TroubleError, with *what* cannot be done, where there is none.
    """
    if found := reader.executions(rid=rid):
        return found
    raise TroubleError(
        f"cannot {what} {rid}",
        f"the journal {reader.path} has no such execution",
        f"{_near(rid, reader.rids())}`deriva-watch status` lists what is refused or waits.",
    )


def no_such_file(rid: str, path: str, known: Iterable[str]) -> TroubleError:
    """Return what to say of a path that no file of an execution has."""
    return TroubleError(
        f"cannot find {path} in {rid}",
        "it has no such file; paths are those below its directory",
        f"{_near(path, known)}`deriva-watch show {quote(rid)}` lists them.",
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"Is it {near}? " if near else ""
