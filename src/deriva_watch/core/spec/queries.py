"""The columns in the answer of an ERMrest query, as far as its template shows them."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from deriva_watch.core.model import CatalogModel, TableName


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to expect.

    Attributes:
        names: The columns of its rows; None: unknown.
        problem: Why there can be no answer.
    """

    names: frozenset[str] | None = None
    problem: str | None = None


def answer(template: str, target: str | None, model: CatalogModel) -> Answer:
    """Return the answer to expect for the query that *template* makes.

    Args:
        template: A path such as "/entity/S:T/column={name}".
        target: The value of `{target_table}`, "schema:table"; None: unknown.
        model: The catalog.
    """
    kind, *parts = template.partition("?")[0].strip("/").split("/")
    if kind not in {"entity", "attribute", "attributegroup", "aggregate"}:
        return Answer(problem="it must start with /entity/, /attribute/, or similar")
    if not parts or not parts[0]:
        return Answer(problem="it names no table")
    first, problem = _table(parts[0], target, model)
    if problem:
        return Answer(problem=problem)
    if kind == "entity":
        if first is None or any(not _is_filter(part) for part in parts[1:]):
            return Answer()  # a join: the last table decides, which is not always clear
        return Answer(frozenset(model.tables[first].column))
    return Answer(_projected(parts[-1]))


def _table(
    part: str, target: str | None, model: CatalogModel
) -> tuple[TableName | None, str | None]:
    """Return the table that the first part of a path names, or its error."""
    name = part.partition(":=")[2] or part
    if name == "{target_table}":
        found = TableName.parse(target) if target else None
        return (found, None) if found in model.tables else (None, None)
    if "{" in name or "(" in name:
        return None, None
    schema, colon, table = name.partition(":")
    if colon:
        wanted = TableName(unquote(schema), unquote(table))
        tables = [wanted] if wanted in model.tables else []
    else:
        tables = [each for each in model.tables if each.table == unquote(name)]
    if not tables:
        return None, f"there is no table {unquote(name)}"
    return (tables[0], None) if len(tables) == 1 else (None, None)


def _is_filter(part: str) -> bool:
    return bool(re.search(r"(?<!:)=|::", part)) and "(" not in part


def _projected(part: str) -> frozenset[str] | None:
    """Return the names of the columns that the last part of a path selects."""
    columns = re.split(r"[,;]", part)
    names = [each.partition(":=")[0].rpartition(":")[2] for each in columns]
    plain = all(name and not re.search(r"[*{}()]", name) for name in names)
    return frozenset(map(unquote, names)) if plain else None
