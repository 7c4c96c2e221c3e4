"""The filter language of data paths: ``a=1&(b=2;!c::null::)``."""

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from deriva_watch.sandbox.ermrest import values
from deriva_watch.sandbox.ermrest.model import Column
from deriva_watch.sandbox.ermrest.quoting import decode
from deriva_watch.sandbox.ermrest.refusals import conflict, malformed

Condition = tuple[str, list[Any]]
FindColumn = Callable[[str], tuple[str, Column]]

OPERATORS: Final = {
    "=": "{} = ?",
    "gt": "{} > ?",
    "geq": "{} >= ?",
    "lt": "{} < ?",
    "leq": "{} <= ?",
    "regexp": "{} REGEXP ?",
    "ciregexp": "{} REGEXP '(?i)' || ?",
}
PREDICATE: Final = re.compile(
    r"(?P<name>[^=&;()!]+?)(?:=|::(?P<operator>\w+)::)"
    r"(?:(?P<all>any|all)\((?P<list>[^()]*)\)|(?P<value>[^&;()]*))"
)


def parse_filter(text: str, find: FindColumn) -> Condition:
    """Return the SQL of a filter, and the values for its question marks.

    Args:
        text: The filter, still percent-encoded.

        find: Returns the SQL and the column that a name stands for.

    Raises:
        RefusedError: 400 for a value that cannot be read or cast; 409 for an unknown column or
            a bad date.
    """
    parser = _Parser(text, find)
    condition = parser.disjunction()
    if parser.rest:
        raise malformed(f"Cannot read the filter at {parser.rest!r}.")
    return condition


class _Parser:
    def __init__(self, text: str, find: FindColumn) -> None:
        self.rest = text
        self._find = find

    def disjunction(self) -> Condition:
        return self._chain(";", " OR ", self._conjunction)

    def _conjunction(self) -> Condition:
        return self._chain("&", " AND ", self._term)

    def _chain(self, sign: str, word: str, part: Callable[[], Condition]) -> Condition:
        sql, parameters = part()
        parts = [sql]
        while self._take(sign):
            sql, more = part()
            parts.append(sql)
            parameters = parameters + more
        return f"({word.join(parts)})", parameters

    def _term(self) -> Condition:
        if self._take("!"):
            if self.rest.startswith("!"):
                raise malformed("Nothing can be negated twice.")
            sql, parameters = self._term()
            return f"NOT {sql}", parameters
        if self._take("("):
            condition = self.disjunction()
            if not self._take(")"):
                raise malformed("A parenthesis is not closed.")
            return condition
        match = PREDICATE.match(self.rest)
        if match is None:
            raise malformed(f"Cannot read the filter at {self.rest!r}.")
        self.rest = self.rest[match.end() :]
        return self._predicate(match)

    def _take(self, sign: str) -> bool:
        found = self.rest.startswith(sign)
        self.rest = self.rest[len(sign) :] if found else self.rest
        return found

    def _predicate(self, match: re.Match[str]) -> Condition:
        sql, column = self._find(match["name"])
        operator = match["operator"] or "="
        if operator == "null":
            if match["value"]:
                raise malformed("::null:: takes no value.")
            return f"{sql} IS NULL", []
        if operator not in OPERATORS:
            raise malformed(f"Unknown operator ::{operator}::.")
        texts = [match["value"]] if match["list"] is None else match["list"].split(",")
        cast = [_cast(column, operator, decode(text)) for text in texts]
        if operator == "=" and match["all"] == "any":
            among = "IN (SELECT value FROM json_each(?))"
            return f"{sql} {among}", [orjson.dumps(cast).decode()]
        word = " AND " if match["all"] == "all" else " OR "
        return f"({word.join([OPERATORS[operator].format(sql)] * len(cast))})", list(cast)


def _cast(column: Column, operator: str, text: str) -> values.Stored:
    if operator.endswith("regexp"):
        try:
            re.compile(text)
        except re.error as error:
            raise conflict(f"invalid regular expression: {error}") from None
        return text
    try:
        return values.from_text(column, text)
    except values.CastError as error:
        # Measured: a bad number is 400, a bad date 409.
        raise (conflict if values.is_date(column) else malformed)(str(error)) from None
