r"""Read a regular expression as `re` does, and write it for `regex`, which can stop after a time.

The two differ in details such as `\w` and combining marks, `{e}`, `[[:alpha:]]`. A bulk spec means
what deriva-py makes of it, and that uses `re`. So `re` parses the text, and `regex` gets what is
written from the parsed form, with nothing in it that the two read differently. What remains:
without case, `re` takes the two Turkish letters for an i, and `regex` does not.
"""

import importlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

# Private, but stable since Python 3.11; a differential test holds both engines side by side.
_parser: Final = importlib.import_module("re._parser")
_MOST_CHARACTERS: Final = 8192  # of a pattern; the compiler cannot be interrupted
_MOST_PARTS: Final = 50_000  # `regex` writes repetitions out: a{1000} is a thousand parts

Node = tuple[Any, Any]

_WORD: Final = r"\p{L}\p{N}_"
_CATEGORIES: Final = {  # Unicode, ASCII
    "DIGIT": (r"\p{Nd}", "0-9"),
    "SPACE": (r"\s\x1c-\x1f", r" \t-\r"),
    "WORD": (_WORD, "a-zA-Z0-9_"),
}
_ANYTHING: Final = "(?s:.)"
_OPENINGS: Final = {
    ("ASSERT", 1): "(?=",
    ("ASSERT", -1): "(?<=",
    ("ASSERT_NOT", 1): "(?!",
    ("ASSERT_NOT", -1): "(?<!",
}
_REPEATS: Final = {"MAX_REPEAT": "", "MIN_REPEAT": "?", "POSSESSIVE_REPEAT": "+"}
_ENDLESS: Final = int(_parser.MAXREPEAT)


@dataclass(frozen=True, slots=True)
class Repeat:
    """How often a part of a pattern occurs; *most* None: there is no limit."""

    least: int
    most: int | None

    @classmethod
    def of(cls, value: Any) -> "Repeat":
        """Return the repetition of a node that is one."""
        least, most = int(value[0]), int(value[1])
        return cls(least, None if most == _ENDLESS else most)

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{{{self.least},{'' if self.most is None else self.most}}}"


def parse(text: str, flags: int) -> Any:
    """Return the parsed form of a pattern.

    Raises:
        re.error: It is not a regular expression.
        OverflowError: It is too large.
    """
    if len(text) > _MOST_CHARACTERS:
        raise OverflowError(f"it has more than {_MOST_CHARACTERS:,} characters")
    re.compile(text, flags)  # checks more than the parser does
    parsed = _parser.parse(text, flags)
    if _parts(parsed) > _MOST_PARTS:
        raise OverflowError(f"its repetitions stand for more than {_MOST_PARTS:,} parts")
    return parsed


def children(node: Node) -> list[Any]:
    """Return the sequences that a node consists of."""
    name, value = str(node[0]), node[1]
    if name == "BRANCH":
        return list(value[1])
    if name == "GROUPREF_EXISTS":
        return [part for part in value[1:] if part is not None]
    if name == "SUBPATTERN" or name in _REPEATS:
        return [value[-1]]
    if name == "ATOMIC_GROUP":
        return [value]
    return [value[1]] if name in {"ASSERT", "ASSERT_NOT"} else []


def _parts(sequence: Iterable[Node]) -> int:
    total = 0
    for node in sequence:
        own = 1 + sum(map(_parts, children(node)))
        if str(node[0]) in _REPEATS:
            repeat = Repeat.of(node[1])
            own *= repeat.least + (repeat.most != repeat.least)
        total += own
    return total


def written(parsed: Any) -> str:
    """Return a pattern for `regex` that finds what *parsed* finds with `re`."""
    names = {number: name for name, number in parsed.state.groupdict.items()}
    return _sequence(parsed, int(parsed.state.flags), names)


def _sequence(sequence: Iterable[Node], flags: int, names: dict[int, str]) -> str:
    return "".join(_node(node, flags, names) for node in sequence)


def _node(node: Node, flags: int, names: dict[int, str]) -> str:  # noqa: PLR0911  # one per kind
    name, value = str(node[0]), node[1]
    if name in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
        return character(node, flags)
    if name == "AT":
        return _place(str(value), flags)
    if name in _REPEATS:
        inner = _sequence(value[2], flags, names)
        return f"(?:{inner}){Repeat.of(value).text}{_REPEATS[name]}"
    if name == "SUBPATTERN":
        return _group(value, flags, names)
    if name == "BRANCH":
        return f"(?:{'|'.join(_sequence(each, flags, names) for each in value[1])})"
    if name == "ATOMIC_GROUP":
        return f"(?>{_sequence(value, flags, names)})"
    if name in {"ASSERT", "ASSERT_NOT"}:
        return f"{_OPENINGS[name, value[0]]}{_sequence(value[1], flags, names)})"
    return _reference(name, value, flags, names)


def _reference(name: str, value: Any, flags: int, names: dict[int, str]) -> str:
    if name == "GROUPREF":
        return rf"(?:\{value})"
    if name == "GROUPREF_EXISTS":
        number, yes, no = value
        parts = (_sequence(each, flags, names) for each in (yes, no or ()))
        return f"(?({number}){'|'.join(parts)})"
    if name == "FAILURE":
        return "(?!)"
    raise OverflowError(f"it uses {name}, which is not known here")


def _group(value: Any, flags: int, names: dict[int, str]) -> str:
    number, more, fewer, inner = value
    flags = (flags | more) & ~fewer
    text = _sequence(inner, flags, names)
    if (more | fewer) & re.IGNORECASE:
        text = f"(?{'i' if more & re.IGNORECASE else '-i'}:{text})"
    if number is None:
        return f"(?:{text})"
    return f"(?P<{names[number]}>{text})" if number in names else f"({text})"


def _place(name: str, flags: int) -> str:
    word = f"[{_category('WORD', flags)}]"
    return {
        "AT_BEGINNING": "(?m:^)" if flags & re.MULTILINE else r"\A",
        "AT_BEGINNING_STRING": r"\A",
        "AT_END": "(?m:$)" if flags & re.MULTILINE else "$",
        "AT_END_STRING": r"\Z",
        "AT_BOUNDARY": f"(?:(?<={word})(?!{word})|(?<!{word})(?={word}))",
        "AT_NON_BOUNDARY": f"(?:(?<={word})(?={word})|(?<!{word})(?!{word}))",
    }[name]


def character(node: Node, flags: int) -> str:
    """Return the text for a node that is found in one character."""
    name, value = str(node[0]), node[1]
    if name == "ANY":
        return _ANYTHING if flags & re.DOTALL else _none_of(r"\n")
    if name == "LITERAL":
        return _escaped(value)
    if name == "NOT_LITERAL":
        return _none_of(_escaped(value))
    return _set(value, flags)


def _set(items: Iterable[Node], flags: int) -> str:
    r"""Return a set of characters; a complement in it (`[\W-]`) becomes an alternative."""
    negated, own, sets = False, "", []
    for kind, value in items:
        if str(kind) == "NEGATE":
            negated = True
        elif str(kind) == "LITERAL":
            own += _escaped(value)
        elif str(kind) == "RANGE":
            own += f"{_escaped(value[0])}-{_escaped(value[1])}"
        else:
            category = str(value).removeprefix("CATEGORY_")
            if category.startswith("NOT_"):
                sets.append(f"[^{_category(category.removeprefix('NOT_'), flags)}]")
            else:
                own += _category(category, flags)
    if not sets:
        return _none_of(own) if negated else f"[{own}]"
    alternatives = "|".join([*([f"[{own}]"] if own else []), *sets])
    return f"(?:(?!{alternatives}){_ANYTHING})" if negated else f"(?:{alternatives})"


def _none_of(members: str) -> str:
    """Return the complement of a set; twice the same, as `regex` takes [^a]|[^b] for [^ab]."""
    return f"[^{members}{members}]"


def _category(name: str, flags: int) -> str:
    return _CATEGORIES[name][bool(flags & re.ASCII)]


def _escaped(code: int) -> str:
    plain = chr(code)
    return plain if plain.isascii() and plain.isalnum() else rf"\U{code:08x}"
