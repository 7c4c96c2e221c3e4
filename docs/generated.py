"""The parts of the documentation that are generated from the code.

A page names one in a comment of its own line, `<!-- generated: events -->`; `conf.py` replaces it
with what the function of that name in PARTS returns. To add one, write a function that returns
Markdown, and list it there.
"""

import inspect
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from typer.main import get_command

import diagrams
from deriva_watch.cli import app
from deriva_watch.core.events import ALL_EVENTS, Event
from deriva_watch.core.known_names import KNOWN, NameKind
from deriva_watch.core.states import (
    EXECUTION_TRANSITIONS,
    FILE_TRANSITIONS,
    ExecutionState,
    ExecutionTrigger,
    FileState,
    FileTrigger,
)
from deriva_watch.edges.journal import Journal
from deriva_watch.settings.drop_folder import DropFolder
from deriva_watch.settings.model import Settings
from deriva_watch.settings.sections import Watch
from deriva_watch.status.views import summary
from deriva_watch.status.web import routes
from deriva_watch.status.web.gauges import Gauges, look_at
from deriva_watch.status.web.meter import Meter

ROOT: Final = Path(__file__).parents[1]
MARK: Final = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


def expand(text: str) -> str:
    """Return a page with its generated parts in place; KeyError where one is unknown."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), text)


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it as it is; code in backticks stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    parts[::2] = [re.sub(r"([\\*_<>\[\]#|$~])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; its cells are Markdown already."""
    rows = [list(head), ["---"] * len(list(head)), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


# ---------------------------------------------------------------------- settings

_LISTS: Final = {"watch": Watch, "drop": DropFolder}
_KEY: Final = re.compile(r"^#?(\w+) = (.*)$")
_SECTION: Final = re.compile(r"^#?(\[{1,2}(\w+)\]{1,2})$")


def settings() -> str:
    """Return every setting: its default from the model, its text from config.example.toml."""
    return "\n".join(_settings((ROOT / "config.example.toml").read_text().splitlines()))


def _settings(lines: list[str]) -> Iterator[str]:
    """Yield sections and keys; the text of each is the comment directly above it."""
    comment: list[str] = []
    model: Any = None
    for line in lines:
        if section := _SECTION.match(line):
            model = _LISTS.get(section[2]) or Settings.model_fields[section[2]].annotation
            yield f"\n## `{section[1]}`\n"
            yield "\n".join(_paragraphs(comment)) + "\n"
        elif (key := _KEY.match(line)) and model:
            if not comment:
                raise ValueError(f"config.example.toml says nothing about {line}")
            text = "\n    ".join(_paragraphs(comment))
            yield f"\n`{key[1]}` ({_default(model, key[1], key[2])})\n:   {text}\n"
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").removeprefix(" "))
            continue
        comment = []


def _paragraphs(comment: list[str]) -> list[str]:
    """Return a comment as lines of Markdown: what is indented in it becomes a block of code."""
    shown: list[str] = []
    for line in comment:
        code = line.startswith("    ")
        if shown and code != shown[-1].startswith("    "):
            shown.append("")
        shown.append(line if code else escaped(line))
    return shown


def _default(model: type[BaseModel], key: str, example: str) -> str:
    field = model.model_fields[key]
    if field.is_required():
        return f"required; for example `{example}`"
    if field.default is None or field.default_factory:
        return f"not set; for example `{example}`"
    return f"default `{example}`"


# ---------------------------------------------------------------------- commands


def _commands() -> dict[str, Any]:
    return dict(sorted(get_command(app).commands.items()))  # type: ignore[attr-defined]


def command_table() -> str:
    """Return a table of all commands: name, first sentence of the help."""
    return table(
        ["command", "what it does"],
        (
            [f"[`{name}`](command-{name})", escaped(_first(each.help))]
            for name, each in _commands().items()
        ),
    )


def commands() -> str:
    """Return the help of every command."""
    return "\n".join(part for name, each in _commands().items() for part in _command(name, each))


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = [p.metavar if p.required else f"[{p.metavar.strip('[]')}]" for p in arguments]
    text, _, example = command.help.rpartition("For example: ")
    yield f"\n(command-{name})=\n\n## `{name}`\n"
    yield f"```text\nderiva-watch {' '.join([name, '[OPTIONS]', *words])}\n```\n"
    yield _prose(text)
    yield f"```sh\n{example.strip()}\n```\n"
    yield table(
        ["argument or option", "meaning"],
        ([f"`{_spelled(p)}`", escaped(p.help or "") + _standard(p)] for p in command.params),
    )


def _prose(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join("\n".join(map(escaped, each.splitlines())) for each in paragraphs) + "\n"


def _spelled(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar.strip("[]"))
    value = "" if param.is_flag else f" {param.metavar or 'VALUE'}"
    return ", ".join(param.opts) + value


def _standard(param: Any) -> str:
    if param.default in (None, "", False) or param.is_flag:
        return ""
    return f" Default: `{param.default}`."


def _first(text: str) -> str:
    return text.partition("\n\n")[0].replace("\n", " ")


def exit_statuses() -> str:
    """Return a table of the exit statuses, from the help of the program."""
    text = str(get_command(app).epilog).partition(": ")[2].rstrip(".")
    pairs = [re.fullmatch(r"([\d or]+\d|\d+) (.*)", each) for each in text.split(", ")]
    return table(["status", "meaning"], ([f"`{p[1]}`", escaped(p[2])] for p in pairs if p))


# ---------------------------------------------------------------------- events


def events() -> str:
    """Return every event: its name, level, meaning and fields."""
    return "\n".join(part for event in ALL_EVENTS for part in _event(event))


def _event(event: type[Event]) -> Iterator[str]:
    level = event.LEVEL if event.level is Event.level else "depends on the state"
    about = re.sub(r"^`[^`]+`: ", "", event.__doc__ or "")
    said = {
        name: text for kind in reversed(event.mro()[:-1]) for name, text in _comments(kind).items()
    }
    yield f"\n## `{event.NAME}`\n"
    yield f"{escaped(about[:1].upper() + about[1:])} *Level: {level}.*\n"
    rows = ([f"`{field.name}`", escaped(said.get(field.name, ""))] for field in fields(event))
    yield table(["field", "meaning"], rows)


def _comments(kind: type) -> dict[str, str]:
    """Return the comments beside the fields or members of a class, by name."""
    source = inspect.getsource(kind)
    found = re.findall(r"^    (\w+)(?:: [^#\n]+| = [^#\n]+?)  # (.*)$", source, re.MULTILINE)
    return {name: text[:1].upper() + text[1:] for name, text in found}


# ---------------------------------------------------------------------- states


def execution_states() -> str:
    """Return the states of an execution, and all that moves one."""
    return _states(ExecutionState, ExecutionTrigger, EXECUTION_TRANSITIONS, "an execution")


def file_states() -> str:
    """Return the states of a file, and all that moves one."""
    return _states(FileState, FileTrigger, FILE_TRANSITIONS, "a file")


def _states(state: Any, trigger: Any, transitions: Any, noun: str) -> str:
    picture = diagrams.transitions(transitions, f"Which state of {noun} can follow which")
    moves = {
        each: ", ".join(
            sorted(
                {f"`{to}`" for row in transitions.values() for t, to in row.items() if t is each}
            )
        )
        for each in trigger
    }
    texts = _comments(trigger)
    triggers = ([f"`{each}`", escaped(texts.get(each.name, "")), moves[each]] for each in trigger)
    named = _comments(state)
    states = ([f"`{each}`", escaped(named.get(each.name, ""))] for each in state)
    return "\n".join([
        table(["state", "meaning"], states), picture,
        table(["trigger", "when", "leads to"], triggers),
    ])  # fmt: skip


# ---------------------------------------------------------------------- metrics


def known_names() -> str:
    """Return a table of the names that are ignored by default, and of what makes them."""
    rows: dict[tuple[NameKind, str], list[str]] = {}
    for known in KNOWN.values():
        shown = known.pattern.replace("\uf022", "U+F022")
        rows.setdefault((known.kind, known.made_by), []).append(f"`{shown}`")
    return table(
        ["kind", "made by", "names"],
        ([kind.value, made_by, ", ".join(names)] for (kind, made_by), names in rows.items()),
    )


def metric_families() -> list[Any]:
    """Return the metrics of ours that `/metrics` has, with their help, from an empty journal."""
    meter = Meter()
    gauges = Gauges(lambda: 60.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(f"sqlite:///{folder}/journal.db", emit=lambda _: None) as journal,
    ):
        gauges.found = summary(journal, datetime.now(UTC)), look_at(journal)
    meter.registry.register(gauges)
    found = [each for each in meter.registry.collect() if each.name.startswith("deriva_watch_")]
    return sorted(found, key=lambda each: each.name)


def metric_name(family: Any) -> str:
    """Return the name of a metric as queries call it."""
    return f"{family.name}_total" if family.type == "counter" else str(family.name)


def metrics() -> str:
    """Return a table of the metrics."""
    return table(
        ["metric", "type", "meaning"],
        (
            [f"`{metric_name(each)}`", each.type, escaped(each.documentation)]
            for each in metric_families()
        ),
    )


def alerts() -> str:
    """Return a table of the alerts that `/alerts.yml` has."""
    rules = (Path(routes.__file__).parents[1] / "alerts.yml").read_text()
    found = re.findall(r"- alert: (.*)\n +expr: (.*)\n(?: +for: (.*))?", rules)
    rows = ([f"`{name}`", f"`{condition}`", wait or "at once"] for name, condition, wait in found)
    return table(["alert", "condition", "for"], rows)


# ---------------------------------------------------------------------- the code itself


def layers() -> str:
    """Return a picture of the layers that import-linter keeps, and what each package is for."""
    packages = [name for layer in diagrams.layer_names(ROOT / "pyproject.toml") for name in layer]
    rows = ([f"`{name}`", escaped(_purpose(name))] for name in packages)
    return diagrams.layers(ROOT / "pyproject.toml") + "\n" + table(["package", "purpose"], rows)


def _purpose(package: str) -> str:
    module = __import__(f"deriva_watch.{package}", fromlist=["__doc__"])
    return _first(inspect.getdoc(module) or "")


PARTS: Final[dict[str, Callable[[], str]]] = {
    "alerts": alerts,
    "command-table": command_table,
    "commands": commands,
    "events": events,
    "execution-states": execution_states,
    "exit-statuses": exit_statuses,
    "file-states": file_states,
    "known-names": known_names,
    "layers": layers,
    "metrics": metrics,
    "settings": settings,
}
