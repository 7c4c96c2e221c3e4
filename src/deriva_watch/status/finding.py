"""Where is my file? Executions and files by a part of their names."""

from typing import Any, Final

from deriva_watch.edges.journal import Journal, Reader
from deriva_watch.status.plain import some

MOST: Final = 50

_EXECUTION: Final = ("rid", "prefix", "state")


def finding(reader: Reader | Journal, name: str) -> dict[str, Any]:
    """Return executions and files with *name* in their names, at most MOST of each.

    `more` tells that there are others. Capital letters count.
    """
    executions = reader.executions_named(name, MOST + 1)
    files = reader.named(name, MOST + 1)
    of = {number: reader.execution(number) for number in {file.execution_id for file in files}}
    return {
        "name": name,
        "executions": [some(each, _EXECUTION) for each in executions[:MOST]],
        "files": [
            {**some(of[file.execution_id], ("rid", "prefix")), **some(file, ("path", "state"))}
            for file in files[:MOST]
        ],
        "more": max(len(executions), len(files)) > MOST,
    }
