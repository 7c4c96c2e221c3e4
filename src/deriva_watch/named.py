"""The executions and files that a command names; for a name that nobody has, the nearest ones."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from shlex import quote

from deriva_watch.core.errors import TroubleError
from deriva_watch.core.prose import printable
from deriva_watch.core.records import ExecutionRecord
from deriva_watch.edges.journal import Reader


def executions(reader: Reader, rid: str, what: str) -> list[ExecutionRecord]:
    """Return the executions, or units of drop folders, that are named *rid*.

    Raises TroubleError, with *what* cannot be done, where there is none.
    """
    if found := reader.executions(rid=rid):
        return found
    known = {name for each in reader.executions() for name in (each.rid, each.execution_rid)}
    near = _near(rid, (name for name in known if name))
    raise TroubleError(
        f"cannot {what} {rid}",
        f"the journal {reader.path} has no such execution",
        f"{near}`deriva-watch status` lists what is refused or waits.",
    )


def no_such_file(rid: str, path: str, known: Iterable[str]) -> TroubleError:
    """Return what to say of a path that no file of an execution has."""
    return TroubleError(
        f"cannot find {path} in {rid}",
        "it has no such file; paths are those below its directory",
        f"{_near(path, known)}`deriva-watch show {quote(rid)}` lists them.",
    )


def _near(name: str, known: Iterable[str]) -> str:
    near: Sequence[str] = get_close_matches(name, list(known))
    if not near:
        return ""
    return f"Is it {' or '.join(quote(printable(each)) for each in near)}? "
