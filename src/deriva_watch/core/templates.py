"""What the templates of a mapping make of a file: its row, its object's name and disposition."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote, unquote

from deriva_watch.core.spec import SINGLE, Match, unusable

# Hatrac's file system backend: a quoted name and ":" + version must fit into 255 bytes (measured).
_NAME_BYTES: Final = 255 - 27


def environment(match: Match, file_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that templates of *match* may use, before the content is known.

    Args:
        match: The mapping that took the file.
        file_name: Last segment of its path.
        values: Metadata by column; they take the place of the raw groups.
    """
    known: dict[str, Any] = dict(match.groups)
    for column, group in match.mapping.groups.items():
        known[group] = values.get(column)
    known.setdefault("file_ext", "".join(PurePosixPath(file_name).suffixes))
    return known | {"file_name": file_name, "target_table": str(match.table)}


def row(match: Match, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that the column map makes of the *known* names.

    A column whose template names something unknown is left out; a template that is a single name
    keeps the type of its value.
    """
    there = {name: value for name, value in known.items() if value is not None}
    made = {}
    for column, template in match.mapping.column_map.items():
        single = SINGLE.fullmatch(template)
        try:
            made[column] = there[single[1]] if single else template.format_map(there)
        except KeyError:
            continue
    return made


def object_name(match: Match, known: Mapping[str, Any]) -> str:
    """Return the Hatrac name of the file, percent-encoded as it goes on the wire.

    A name that is too long for the server is cut before its end; it begins with the content's MD5,
    so it still names one content, and the row keeps the whole file name.
    """
    template = match.mapping.object_name or "/hatrac/{target_table}/{md5}.{file_name}"
    texts = {name: quote(_text(value), safe="") for name, value in known.items()}
    parent, _, leaf = _filled(template, texts).rpartition("/")
    return f"{parent}/{_cut(leaf)}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _filled(template: str, texts: Mapping[str, str]) -> str:
    try:
        return template.format_map(texts)
    except KeyError as error:
        why = f"the template {template} names {error}, which is not known of a file"
        raise unusable("a template of the bulk spec", why) from None


def _cut(leaf: str) -> str:
    """Return as much of *leaf* as Hatrac takes, without half a character at the end."""
    if len(leaf) <= _NAME_BYTES:
        return leaf
    head = re.sub(r"%[0-9A-F]?\Z", "", leaf[:_NAME_BYTES])
    while not _is_whole(head):
        head = head[: head.rindex("%")]
    return head


def _is_whole(quoted: str) -> bool:
    try:
        unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def content_disposition(match: Match, known: Mapping[str, Any]) -> str | None:
    """Return the Content-Disposition; Hatrac takes plain characters only, others become "_"."""
    if match.mapping.disposition is None:
        return None
    plain = {name: re.sub(r"[^a-zA-Z0-9_.-]", "_", _text(value)) for name, value in known.items()}
    return _filled(match.mapping.disposition, plain)
