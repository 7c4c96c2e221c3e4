"""Finds the executions and files that a command names; suggests close names for unknown ones."""

from collections.abc import Iterable
from shlex import quote

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.prose import nearest
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Reader


def executions(reader: Reader, rid: str, what: str) -> list[ExecutionRecord]:
    """Return the executions, or units of drop folders, named *rid*.

    Raises TroubleError (*what* cannot be done) where there is none.
    """
    if found := reader.executions(rid=rid):
        return found
    raise TroubleError(
        f"cannot {what} {rid}",
        f"the journal {reader.path} has no such execution",
        f"{_near(rid, reader.names())}`deriva-watch status` lists the executions.",
    )


def no_such_file(rid: str, path: str, known: Iterable[str]) -> TroubleError:
    """Return the error for a path that no file of an execution has."""
    return TroubleError(
        f"cannot find {path} in {rid}",
        "it has no such file; give paths relative to its directory",
        f"{_near(path, known)}`deriva-watch show {quote(rid)}` lists them.",
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"Is it {near}? " if near else ""
