"""The life of an execution directory and of each file in it.

Rule 1: every allowed change of a state is in this file.
Rule 2: this file knows no disk, no server and no clock.

A *trigger* moves a state; the *event* that reports the move is in `events`.
The values are stored in journals and read by other programs: never rename a released one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from deriva_watch.core.errors import IllegalTransitionError


class ExecutionState(StrEnum):
    """The states of an execution directory."""

    FILLING = "filling"  # files may still arrive; the debounce queue moves it on
    READY = "ready"  # complete; waits for a free worker
    UPLOADING = "uploading"  # a worker holds it
    WAITING = "waiting"  # an attempt failed; the next one has a time
    UPLOADED = "uploaded"  # every matched file stored, recorded and linked
    REFUSED = "refused"  # retrying cannot help; a person must act
    GONE = "gone"  # the directory was removed


AT_REST: Final = frozenset({ExecutionState.UPLOADED, ExecutionState.REFUSED, ExecutionState.GONE})


class ExecutionTrigger(StrEnum):
    """What moves an execution directory."""

    COMPLETED = "completed"  # judged complete
    CLAIMED = "claimed"  # a worker took it
    FINISHED = "finished"  # every file reached its end
    DEFERRED = "deferred"  # a transient failure; a next time is set
    REFUSED = "refused"  # something was refused
    DUE = "due"  # the next time has come
    CHANGED = "changed"  # files arrived, changed or left
    INTERRUPTED = "interrupted"  # the daemon died or stops; its claim is void
    RETRIED = "retried"  # a person, or a changed cause, asked for another try
    CANCELLED = "cancelled"  # a person says no
    PAUSED = "paused"  # a person says not now
    RESUMED = "resumed"  # a person ended the pause, or its time is over
    REMOVED = "removed"  # the directory no longer exists
    APPEARED = "appeared"  # a removed directory is back


class FileState(StrEnum):
    """The states of a file."""

    FOUND = "found"  # seen by the scanner; digests unknown
    HASHED = "hashed"  # MD5 and SHA-256 known
    STORED = "stored"  # an object version holds its bytes
    RECORDED = "recorded"  # a row of its asset table describes it
    LINKED = "linked"  # the row is linked to the execution and its asset types: nothing left to do
    IGNORED = "ignored"  # matches a pattern of [files] ignore
    UNMATCHED = "unmatched"  # no mapping of the bulk spec matches it
    REFUSED = "refused"  # a person must act; the other files are uploaded
    GONE = "gone"  # vanished before it was recorded
    ELSEWHERE = "elsewhere"  # another uploader recorded it
    REMOVED = "removed"  # uploaded, verified again, and taken out of its folder by us


SAFE: Final = frozenset({FileState.LINKED, FileState.ELSEWHERE, FileState.REMOVED})
UNDONE: Final = frozenset({FileState.FOUND, FileState.HASHED, FileState.STORED})  # no row has it


class FileTrigger(StrEnum):
    """What moves a file."""

    HASHED = "hashed"  # its digests are known
    STORED = "stored"  # the object store has its bytes
    RECORDED = "recorded"  # its row is in the catalog
    ADOPTED = "adopted"  # an existing row already says the same
    LINKED = "linked"  # its row is linked to execution and asset types
    IGNORED = "ignored"  # its name matches [files] ignore
    UNMATCHED = "unmatched"  # no mapping matches its path
    REFUSED = "refused"  # it cannot be uploaded as it is
    CHANGED = "changed"  # its content, or its metadata in the manifest
    RECONSIDERED = "reconsidered"  # spec or settings changed, or a person asked for a retry
    VANISHED = "vanished"  # it no longer exists
    FOREIGN = "foreign"  # another uploader says it did it, and the catalog agrees
    APPEARED = "appeared"  # a removed file is back
    REMOVED = "removed"  # its local copy was removed by us


_E, _ET, _F, _FT = ExecutionState, ExecutionTrigger, FileState, FileTrigger

EXECUTION_TRANSITIONS: Final[Mapping[ExecutionState, Mapping[ExecutionTrigger, ExecutionState]]] = {
    _E.FILLING: {
        _ET.COMPLETED: _E.READY,
        _ET.REFUSED: _E.REFUSED,  # not ours: nothing of it is ever sent
        _ET.CANCELLED: _E.REFUSED,
        _ET.REMOVED: _E.GONE,
    },
    _E.READY: {
        _ET.CLAIMED: _E.UPLOADING,
        _ET.CHANGED: _E.FILLING,
        _ET.PAUSED: _E.WAITING,
        _ET.CANCELLED: _E.REFUSED,
        _ET.REMOVED: _E.GONE,
    },
    _E.UPLOADING: {  # only the worker that holds it reports these
        _ET.FINISHED: _E.UPLOADED,
        _ET.DEFERRED: _E.WAITING,
        _ET.REFUSED: _E.REFUSED,
        _ET.INTERRUPTED: _E.READY,
        _ET.CHANGED: _E.FILLING,
        _ET.REMOVED: _E.GONE,
    },
    _E.WAITING: {
        _ET.DUE: _E.READY,
        _ET.CHANGED: _E.FILLING,
        _ET.RETRIED: _E.READY,
        _ET.PAUSED: _E.WAITING,  # without a time
        _ET.RESUMED: _E.READY,
        _ET.CANCELLED: _E.REFUSED,
        _ET.REMOVED: _E.GONE,
    },
    # deriva-ml may add files to an execution that is already uploaded.
    _E.UPLOADED: {_ET.CHANGED: _E.FILLING, _ET.RETRIED: _E.FILLING, _ET.REMOVED: _E.GONE},
    _E.REFUSED: {
        _ET.CHANGED: _E.FILLING,
        _ET.RETRIED: _E.FILLING,
        _ET.CANCELLED: _E.REFUSED,  # and now no changed cause takes it up again
        _ET.REMOVED: _E.GONE,
    },
    _E.GONE: {_ET.APPEARED: _E.FILLING},
}

FILE_TRANSITIONS: Final[Mapping[FileState, Mapping[FileTrigger, FileState]]] = {
    _F.FOUND: {
        _FT.HASHED: _F.HASHED,
        _FT.IGNORED: _F.IGNORED,
        _FT.UNMATCHED: _F.UNMATCHED,
        _FT.REFUSED: _F.REFUSED,
        _FT.VANISHED: _F.GONE,
        _FT.FOREIGN: _F.ELSEWHERE,
    },
    _F.HASHED: {
        _FT.STORED: _F.STORED,
        _FT.RECORDED: _F.RECORDED,  # a table file: it becomes rows and no object
        _FT.ADOPTED: _F.RECORDED,
        _FT.FOREIGN: _F.ELSEWHERE,
        _FT.CHANGED: _F.FOUND,
        _FT.RECONSIDERED: _F.FOUND,
        _FT.REFUSED: _F.REFUSED,
        _FT.VANISHED: _F.GONE,
    },
    _F.STORED: {
        _FT.RECORDED: _F.RECORDED,
        _FT.ADOPTED: _F.RECORDED,  # somebody recorded the same while we were sending
        _FT.FOREIGN: _F.ELSEWHERE,
        _FT.CHANGED: _F.FOUND,
        _FT.RECONSIDERED: _F.FOUND,
        _FT.REFUSED: _F.REFUSED,
        _FT.VANISHED: _F.GONE,
    },
    # From here on the catalog knows the content: a file that vanishes keeps its state.
    _F.RECORDED: {
        _FT.LINKED: _F.LINKED,
        _FT.CHANGED: _F.FOUND,
        _FT.RECONSIDERED: _F.FOUND,
        _FT.REFUSED: _F.REFUSED,
    },
    _F.LINKED: {
        _FT.CHANGED: _F.FOUND,
        _FT.RECONSIDERED: _F.FOUND,
        _FT.REMOVED: _F.REMOVED,
    },
    _F.ELSEWHERE: {_FT.CHANGED: _F.FOUND, _FT.RECONSIDERED: _F.FOUND},
    _F.IGNORED: {_FT.RECONSIDERED: _F.FOUND, _FT.VANISHED: _F.GONE},
    _F.UNMATCHED: {_FT.RECONSIDERED: _F.FOUND, _FT.CHANGED: _F.FOUND, _FT.VANISHED: _F.GONE},
    _F.REFUSED: {_FT.RECONSIDERED: _F.FOUND, _FT.CHANGED: _F.FOUND, _FT.VANISHED: _F.GONE},
    _F.GONE: {_FT.APPEARED: _F.FOUND},
    _F.REMOVED: {_FT.APPEARED: _F.FOUND},
}


def execution_after(state: ExecutionState, trigger: ExecutionTrigger) -> ExecutionState:
    """Return the state that *trigger* leads an execution to, or raise IllegalTransitionError."""
    return _after(EXECUTION_TRANSITIONS, state, trigger, "an execution")


def file_after(state: FileState, trigger: FileTrigger) -> FileState:
    """Return the state that *trigger* leads a file to, or raise IllegalTransitionError."""
    return _after(FILE_TRANSITIONS, state, trigger, "a file")


_S = TypeVar("_S", bound=StrEnum)
_T = TypeVar("_T", bound=StrEnum)


def _after(table: Mapping[_S, Mapping[_T, _S]], state: _S, trigger: _T, noun: str) -> _S:
    try:
        return table[state][trigger]
    except KeyError:
        message = f"{trigger!r} cannot happen to {noun} that is {state!r}"
        raise IllegalTransitionError(message) from None
