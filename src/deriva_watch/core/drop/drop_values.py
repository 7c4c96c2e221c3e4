"""What a drop folder says of a file in it: the values of its columns, looked-up ones among them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.drop.drop_spec import DESCRIPTION, CompiledDrop, Search
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.sources import Statement
from deriva_watch.core.spec.mapping import Match
from deriva_watch.core.spec.spec_keys import fields
from deriva_watch.core.spec.templates import fill, query
from deriva_watch.core.values import is_text


@dataclass(frozen=True, slots=True)
class Answer:
    """What the catalog has for one value that was looked up.

    Attributes:
        found: What the referring column would get, of each row that was found.
        problem: Why it could not be looked for.
    """

    found: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A drop folder with all that was looked up for the files in it.

    Attributes:
        answers: By column, and by what was asked for it.
    """

    compiled: CompiledDrop
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)


def questions(seen: Observation, compiled: CompiledDrop) -> dict[str, set[str]]:
    """Return what must be looked up before files can be planned, by column: each thing once."""
    asked: dict[str, set[str]] = defaultdict(set)
    for path, entry in seen.entries.items() if compiled.searches else ():
        if entry.kind is not Kind.CONTENT or not is_text(path):
            continue  # it is refused for that
        match = compiled.spec.match(f"{seen.root}/{path}")
        for column, search in compiled.searches.items() if match else ():
            text = _asked(search, match) if match else None
            if text is not None:
                asked[column].add(text)
    return asked


def statement(path: str, match: Match, dropped: Dropped) -> Statement:
    """Return what the folder says of a file that its pattern took.

    A group that took no part makes NULL of every column that it is needed for.

    Raises:
        RefusedError: A look-up did not find exactly one row; it names the value.
    """
    compiled = dropped.compiled
    values = {c: _filled(said, match.groups) for c, said in compiled.templates.items()}
    values |= {c: _referred(c, search, match, dropped) for c, search in compiled.searches.items()}
    description = values.pop(DESCRIPTION, None)
    return Statement(
        source=f"the path {path}",
        table=compiled.table.name,
        schema=compiled.table.schema.name,
        metadata=values,
        types=compiled.drop.asset_types or None,
        description=None if description is None else str(description),
    )


def _filled(said: Any, groups: Mapping[str, str]) -> Any:
    return fill(said, groups) if isinstance(said, str) else said


def _asked(search: Search, match: Match) -> str | None:
    """Return what is looked up for a file, the value or the query; None where there is none."""
    if any(name not in match.groups for name in fields(search.template)):
        return None
    if search.table is None:
        return query(search.template, match.groups)
    return fill(search.template, match.groups)


def _referred(column: str, search: Search, match: Match, dropped: Dropped) -> str | None:
    text = _asked(search, match)
    if text is None:
        return None
    answer = dropped.answers[column][text]
    if len(answer.found) == 1:
        return answer.found[0]
    return_to = "then run `deriva-watch retry RID`."
    what = f"it is not known which row its {column} is"
    if answer.problem:
        raise RefusedError(what, answer.problem, f"Mend that, or the name; {return_to}")
    sought = f"{search.by.name} = {text!r}" if search.by else f"query {text!r}"
    where = str(search.table) if search.table else "the catalog"
    if not answer.found:
        why, then = f"no row of {where} fits {sought}", f"Add that row, or rename it, {return_to}"
    else:
        names = ", ".join(answer.found)
        why = f"{len(answer.found)} rows of {where} fit {sought}: {names}"
        then = f"Make it one row, or let the look-up tell them apart, {return_to}"
    raise RefusedError(what, why, then)
