"""The look-ups of a drop folder in the catalog: in bulk, each value once.

A value that no row has is looked up in its other Unicode forms. If these do not exist either, the
answer names the values that come nearest, of those beside it in the order of the column.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from unicodedata import normalize
from urllib.parse import quote, unquote

from deriva_watch.core.drop.drop_spec import Search
from deriva_watch.core.drop.drop_values import Answer
from deriva_watch.core.errors import RefusedError
from deriva_watch.core.model import Column, TableName
from deriva_watch.core.prose import closest
from deriva_watch.core.unicode_forms import ANOTHER_FORM, respelled, with_forms
from deriva_watch.core.values import TEXT_TYPES, check, meaning
from deriva_watch.edges.server.catalog import LONGEST_PATH_BYTES
from deriva_watch.engine.ports import Catalog, Row

_SHOWN: Final = 80  # characters of what is too long
_NEAR: Final = 5  # values for which the nearest are looked up: each takes two requests
_WORD: Final = re.compile("(?:[A-Za-z0-9]|%[89A-F][0-9A-F])+")  # of a path; no sign is decoded


@dataclass(frozen=True, slots=True)
class Lookups:
    """Makes look-ups.

    Attributes:
        catalog: The catalog.
        tell: Is called with a sentence if something is there only in another Unicode form.
    """

    catalog: Catalog
    tell: Callable[[str], object]

    def answers(self, search: Search, asked: Iterable[str]) -> dict[str, Answer]:
        """Return the answers to all that is *asked* of one column."""
        if search.table is None or search.by is None:
            return {path: self._by_query(path, search.returns) for path in asked}
        values, found = {}, {}
        for text in sorted(asked):
            if _is_long(text):
                found[text] = Answer(problem=f"{text[:_SHOWN]!r}… is too long for a request")
                continue
            try:
                values[text] = check(search.by, text)
            except ValueError as error:
                found[text] = Answer(problem=str(error))
        try:
            return found | self._by_value(search, search.table, search.by, values)
        except RefusedError as error:
            return found | dict.fromkeys(values, Answer(problem=f"{error.what}: {error.why}"))

    def _by_value(
        self, search: Search, table: TableName, by: Column, values: Mapping[str, Any]
    ) -> dict[str, Answer]:
        is_text = by.type in TEXT_TYPES
        wanted = with_forms(values.values()) if is_text else list(values.values())
        rows = self.catalog.rows_with(table, by.name, wanted) if wanted else []
        other = respelled(values, [row[by.name] for row in rows]) if is_text else {}
        if other:
            self.tell(f"{table} has some of the values looked up {ANOTHER_FORM}")
        there: dict[Hashable, list[str]] = defaultdict(list)
        for row in rows:
            there[meaning(by, row[by.name])] += _values(row, search.returns)
        found = {
            text: Answer(tuple(there[meaning(by, other.get(text, value))]))
            for text, value in values.items()
        }
        unknown = [text for text, answer in found.items() if is_text and not answer.found]
        for text in unknown[:_NEAR]:
            found[text] = Answer(near=closest(text, self.catalog.neighbours(table, by.name, text)))
        return found

    def _by_query(self, path: str, returns: str) -> Answer:
        if len(path) > LONGEST_PATH_BYTES:
            return Answer(problem=f"the query {path[:_SHOWN]}… is too long")
        forms = dict.fromkeys([path, _in_form("NFC", path), _in_form("NFD", path)])
        try:
            for each in forms:  # two rows are too many
                rows = self.catalog.query(each if "?" in each else f"{each}?limit=2")
                if rows and each != path:
                    self.tell(f"the catalog has some of the values looked up {ANOTHER_FORM}")
                if rows:
                    return Answer(tuple(value for row in rows for value in _values(row, returns)))
        except RefusedError as error:
            return Answer(problem=f"{error.what}: {error.why}")
        return Answer()


def _is_long(text: str) -> bool:
    """Return whether a request would be too long: the server would refuse all values in it."""
    return len(quote(text, safe="")) > LONGEST_PATH_BYTES // 2


def _in_form(form: Literal["NFC", "NFD"], path: str) -> str:
    """Return a path with its texts in a Unicode form."""
    odd: Final = "surrogateescape"
    return _WORD.sub(
        lambda word: quote(normalize(form, unquote(word[0], errors=odd)), errors=odd), path
    )


def _values(row: Row, returns: str) -> list[str]:
    """Return the value of a column in a list, which is empty for NULL and for an unknown column."""
    return [] if row.get(returns) is None else [str(row[returns])]
