"""`show` for people: the state of an execution and why, its files, and its history."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from shlex import quote
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from deriva_watch.core.prose import counted
from deriva_watch.core.states import SAFE, ExecutionState, FileState
from deriva_watch.status.amounts import clock, size
from deriva_watch.status.text.elements import (
    STYLES,
    cell,
    facts,
    grid,
    indented,
    line,
    sentence,
    title,
)
from deriva_watch.status.text.timeline import described
from deriva_watch.status.text.verdict import readable

_FILES: Final = 10  # shown of those without a problem
_LINES: Final = 30  # shown of the history
_BAD: Final = (FileState.REFUSED, FileState.UNMATCHED)
_Entry = Mapping[str, Any]


def render_details(
    details: Mapping[str, Any], *, files: bool = False, whole: bool = False
) -> RenderableType:
    """Return the details of executions as text.

    Args:
        details: What `details` returned.
        files: Show every file, however many there are.
        whole: Also show the whole history, and that of every file.
    """
    stories = [[*_Story(each, files or whole, whole).parts()] for each in details["executions"]]
    between = [[*story, Text()] for story in stories[:-1]]
    return Group(*chain(*between, *stories[-1:]))


class _Story:
    """The sections about one execution."""

    def __init__(self, execution: _Entry, every_file: bool, whole: bool) -> None:
        self._execution = execution
        self._every_file = every_file
        self._whole = whole

    def parts(self) -> Iterator[RenderableType]:
        """Yield them in order."""
        yield from self._head()
        yield from self._evidence()
        yield from self._files()
        yield from self._differs()
        yield from self._kept()
        yield from self._notices()
        yield from self._history()

    def _head(self) -> Iterator[RenderableType]:
        known = self._execution
        yield line(f"{known['rid']}: {_state(known)}", STYLES.get(known["state"], "bold"))
        yield from sentence(known)
        made = known.get("execution_rid")  # for a unit of a drop folder
        since = f"{clock(known['changed_at'])} UTC"
        again = f"{clock(known['next_at'])} UTC" if known["next_at"] else None
        claims = sum(each["after"] == "uploading" for each in known["history"])
        failed = f", the last {known['attempts']} failed" if known["attempts"] else ""
        about = {
            "server": known["server"],
            "folder": known["prefix"],
            "execution": made,
            f"{known['state']} since": since,
            "next attempt" if known["state"] == ExecutionState.WAITING else "next check": again,
            "attempts": f"{claims}{failed}" if claims > 1 or failed else None,
            "proof": _proof(known) if known["proved"] else None,
        }
        yield facts({name: text for name, text in about.items() if text})

    def _evidence(self) -> Iterator[RenderableType]:
        if self._execution["verdict"]:
            yield title("is it complete?")
            yield indented(facts(readable(self._execution["verdict"])), 2)

    def _files(self) -> Iterator[RenderableType]:
        files = self._execution["files"]
        if not files:
            return
        yield title("files")
        for file in files:
            if file["what"] or file["state"] in _BAD:
                yield line(f"{file['state']} {file['path']}", STYLES.get(file["state"], "bold"))
                yield from sentence(file)
        good = [file for file in files if not file["what"] and file["state"] not in _BAD]
        shown = good if self._every_file else good[:_FILES]
        yield _listed(shown, in_full=self._every_file)
        if more := len(good) - len(shown):
            command = f"deriva-watch show {quote(self._execution['rid'])} --files"
            yield line(f"  and {counted(more, 'file')} more: {command}", "dim")

    def _differs(self) -> Iterator[RenderableType]:
        if differs := self._execution["differs"]:
            yield title("no longer on the server as uploaded")
            yield from sentence(differs)

    def _kept(self) -> Iterator[RenderableType]:
        removal = self._execution.get("removal") or {}
        if removal.get("what"):
            yield Text()
            yield line(f"local files of {self._execution['rid']} are kept", "bold")
            yield from sentence(removal)

    def _notices(self) -> Iterator[RenderableType]:
        if self._execution["notices"]:
            yield title("notices")
            for about, why in self._execution["notices"].items():
                yield indented(line(f"{about}: {why}"), 2)

    def _history(self) -> Iterator[RenderableType]:
        history = self._execution["history"]
        own = [each for each in history if each["path"] is None]
        if own:
            yield title("history (UTC)")
            shown = own if self._whole else own[-_LINES:]
            if less := len(own) - len(shown):
                command = f"deriva-watch show {quote(self._execution['rid'])} --all"
                yield line(f"  {counted(less, 'earlier line')}: {command}", "dim")
            yield _timeline(shown)
        if self._whole or not own:
            yield from _file_histories(each for each in history if each["path"] is not None)


def _proof(known: _Entry) -> str:
    return f"{clock(known['proved_at'])} UTC: {known['proved']}"


def _state(known: _Entry) -> str:
    """Return the state of an execution; if it is uploaded, with the amount of its files."""
    files = [file for file in known["files"] if file["state"] in SAFE]
    state = known["state"]
    if state != ExecutionState.UPLOADED:
        return str(state)
    count = f"{counted(len(files), 'file')}, {size(sum(f['size_bytes'] for f in files))}"
    others = sum(file["state"] in _BAD for file in known["files"])
    left = f"; {counted(others, 'file')} left out" if others else ""
    return f"{state}, {count}{left}"


def _listed(files: Iterable[_Entry], *, in_full: bool) -> RenderableType:
    """Return two lines for each file: what it is, and what the server has of it."""
    table = grid()
    table.add_column()
    table.add_column(justify="right")
    for file in files:
        table.add_row(
            cell(f"  {file['state']}"),
            cell(size(file["size_bytes"])),
            Group(cell(file["path"]), *_where(file, in_full=in_full)),
        )
    return table


def _where(file: _Entry, *, in_full: bool) -> Iterator[RenderableType]:
    """Yield the file's row and object version, and where it was moved; *in_full* also the rest."""
    version = file["url"] and (file["url"] if in_full else file["url"].rpartition(":")[2])
    known = {
        "RID": file["rid"],
        "rows": file["rows"],
        "version": version,
        "table": file["table"] if in_full else None,
        "MD5": file["md5"] if in_full else None,
    }
    if text := ", ".join(f"{name} {value}" for name, value in known.items() if value is not None):
        yield cell(text, "dim")
    if to := (file.get("removal") or {}).get("to"):
        yield cell(f"moved to {to}", "dim")


def _file_histories(history: Iterable[_Entry]) -> Iterator[RenderableType]:
    of_files: dict[str, list[_Entry]] = {}
    for each in history:
        of_files.setdefault(each["path"], []).append(each)
    for path, lines in sorted(of_files.items()):
        yield Text()
        yield line(path, "bold")
        yield _timeline(lines)


def _timeline(history: Iterable[_Entry]) -> RenderableType:
    table = grid()
    for each in history:
        table.add_row(cell(f"  {clock(each['at'])}"), cell(described(each)))
    return table
