"""The metadata of a file in a drop folder: from its path and from look-ups in the catalog."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.completeness.observation import Kind, Observation
from deriva_watch.core.drop.drop_spec import DESCRIPTION, CompiledDrop, Search
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.metadata.sources import Statement
from deriva_watch.core.patterns import TooSlowError
from deriva_watch.core.spec.mapping import Match
from deriva_watch.core.spec.spec_keys import fields
from deriva_watch.core.spec.templates import fill, query
from deriva_watch.core.values import is_text


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one look-up in the catalog.

    Attributes:
        found: The value for the referring column, from each row that matches.
        problem: Why the look-up failed.
        near: Values like the one looked up, where no row has that; in words.
    """

    found: tuple[str, ...] = ()
    problem: str | None = None
    near: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A drop folder with the results of all look-ups for the files in it.

    Attributes:
        answers: By column and look-up.
    """

    compiled: CompiledDrop
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)


def questions(seen: Observation, compiled: CompiledDrop) -> dict[str, set[str]]:
    """Return the look-ups that planning needs, by column; each once."""
    asked: dict[str, set[str]] = defaultdict(set)
    for path, entry in seen.entries.items() if compiled.searches else ():
        if entry.kind is not Kind.CONTENT or not is_text(path):
            continue  # it is refused for that
        try:
            match = compiled.spec.match(f"{seen.root}/{path}")
        except TooSlowError:
            continue  # as well
        for column, search in compiled.searches.items() if match else ():
            text = _asked(search, match) if match else None
            if text is not None:
                asked[column].add(text)
    return asked


def statement(path: str, match: Match, dropped: Dropped) -> Statement:
    """Return the metadata of a file that the folder's pattern matches.

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
    """Return the value or query to look up for a file; None if a group of it is missing."""
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
    why = objection(search, text, answer)
    if why is None:
        return answer.found[0]
    then = "Add that row, or rename the file,"
    if answer.problem:
        then = "Correct that, or the name,"
    elif answer.found:
        then = "Make it one row, or make the look-up unique,"
    what = f"the row for its {column} is not known"
    raise RefusedError(what, why, f"{then} then run `deriva-watch retry RID`.")


def objection(search: Search, text: str, answer: Answer) -> str | None:
    """Return why the *answer* to *text* does not name one row, or None."""
    if answer.problem:
        return answer.problem
    which = f"with {search.by.name} = {text!r}" if search.by else f"for the query {text!r}"
    where = str(search.table) if search.table else "the catalog"
    if not answer.found:
        return f"there is no row of {where} {which}{answer.near}"
    if len(answer.found) == 1:
        return None
    return f"there are {len(answer.found)} rows of {where} {which}: {', '.join(answer.found)}"
