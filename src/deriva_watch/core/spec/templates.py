"""Fill the templates of a mapping for a file: its row, its object's name and disposition."""

import re
from collections.abc import Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, Final
from urllib.parse import quote, unquote

from deriva_watch.core.errors import RefusedError
from deriva_watch.core.names import ENCODED, of_path
from deriva_watch.core.spec.mapping import SINGLE, AssetMapping, Match

# Hatrac's file system backend: a quoted name and ":" + version must fit into 255 bytes (measured).
_NAME_BYTES: Final = 255 - 27
_DEFAULT: Final = "/hatrac/{target_table}/{md5}.{file_name}"
_HEADER: Final = re.compile(r"""(filename\*?=['"]?(?:UTF-\d['"]*)?)(.*?)(['"]?;?)""", re.DOTALL)


def environment(
    match: Match, file_name: str, values: Mapping[str, Any], folder: str = ""
) -> dict[str, Any]:
    """Return the names that templates of *match* may use, before the content is known.

    Args:
        match: The mapping that matches the file.
        file_name: Last segment of its path.
        values: Metadata by column. They replace the groups if the mapping decodes paths; else a
            group keeps the text that it matched.
        folder: The directory of the file.
    """
    known: dict[str, Any] = dict.fromkeys(match.mapping.names) | dict(match.groups)
    for column, group in match.mapping.groups.items():
        if match.mapping.decodes or group not in match.groups:
            known[group] = values.get(column)
    return known | of_path(folder, file_name, known) | {"target_table": match.target_table}


def query(template: str, known: Mapping[str, Any]) -> str:
    """Return the path of the request that *template* makes, with all values quoted.

    Raises RefusedError if it uses a name that has no value for the file.
    """
    return _filled(template, {name: _in_url(name, value) for name, value in known.items()})


def fill(template: str, known: Mapping[str, Any]) -> str | None:
    """Return *template* filled, or None if it uses an unknown name.

    Raises RefusedError if a value does not fit its format.
    """
    try:
        return template.format_map(known)
    except KeyError:
        return None
    except ValueError as error:
        raise _misfit(template, error) from None


def _in_url(name: str, value: Any) -> str:
    done = name.endswith(ENCODED) or name == "target_table"
    return str(value) if done else quote(str(value), safe="")


def row(match: Match, known: Mapping[str, Any], *, preview: bool = False) -> dict[str, Any]:
    """Return the row that the column map makes from the *known* names.

    A column whose template uses an unknown or NULL name is left out; a template that is a single
    name keeps the type of its value.

    Raises RefusedError if a value does not fit the format of its template. In a *preview* the
    column is left out: some names have no value yet.
    """
    there = {name: value for name, value in known.items() if value is not None}
    made = {}
    for column, template in match.mapping.column_map.items():
        single = SINGLE.fullmatch(template)
        try:
            made[column] = there[single[1]] if single else template.format_map(there)
        except KeyError:
            continue
        except ValueError as error:
            if not preview:
                raise _misfit(template, error) from None
    return made


def object_name(match: Match, known: Mapping[str, Any]) -> str:
    """Return the Hatrac name of the file, percent-encoded as it goes on the wire.

    Without a Content-Disposition the last segment is sanitized, as `hatrac_options` say. A name
    that is too long for the server is truncated; the row keeps the whole file name.
    """
    mapping, template = match.mapping, match.mapping.object_name
    used = _names(template or _DEFAULT)
    quoted = {name: _in_name(name, known[name]) for name in used if name in known}
    name = quote(_filled(template or _DEFAULT, quoted), safe="/%!$&'()*+,:;=@~")
    parent, _, leaf = name.rpartition("/")
    if template and not mapping.disposition and mapping.options.sanitize:
        raw = _filled(template, {name: _text(value) for name, value in known.items()})
        leaf = quote(_plain(mapping, raw.rpartition("/")[2]), safe="")
    return f"{parent}/{_cut(leaf)}"


def _in_name(name: str, value: Any) -> str:
    """Return a value as a part of an object's name; a "/" in it separates namespaces."""
    text = _text(value)
    if name.endswith(ENCODED):
        return text
    if name == "target_table":
        text = unquote(text)
    return quote(text, safe="" if name in {"file_name", "base_name", "target_table"} else "/")


def _plain(mapping: AssetMapping, file_name: str) -> str:
    return mapping.options.sanitize_pattern.replaced(file_name, "_")


@lru_cache
def _names(template: str) -> frozenset[str]:
    """Return the names that *template* uses; quoting all would cost more than sending the file."""
    found: set[str] = set()
    for _, field, form, _ in Formatter().parse(template):
        if field:
            found |= {re.split(r"[.\[]", field)[0], *_names(form or "")}
    return frozenset(found)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _filled(template: str, texts: Mapping[str, str]) -> str:
    try:
        return template.format_map(texts)
    except KeyError as error:
        why = f"the template {template} uses {error}, which has no value for it"
        then = "Correct the bulk spec, or the place of that value."
        raise RefusedError("the bulk spec cannot name a file", why, then) from None
    except ValueError as error:
        raise _misfit(template, error) from None


def _misfit(template: str, error: ValueError) -> RefusedError:
    why = f"a value of it does not fit the template {template}: {error}"
    return RefusedError("the bulk spec cannot be used for a file", why, "Correct the template.")


def _cut(leaf: str) -> str:
    """Return *leaf* truncated to the length that Hatrac accepts, at the end of a character."""
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
    """Return the Content-Disposition; Hatrac accepts a file name of plain characters.

    A template that is not a complete header becomes the file name.
    """
    mapping = match.mapping
    if not mapping.disposition:
        return None
    texts = {name: _text(value) for name, value in known.items()}
    # The quotes of a header are those of the template: a name may begin or end with some.
    if (header := _HEADER.fullmatch(mapping.disposition)) is None:
        whole = _filled(mapping.disposition, texts)
        header = _HEADER.fullmatch(whole)
        head, name, tail = header.groups() if header else ("filename*=UTF-8''", whole, "")
    else:
        head, name, tail = (_filled(part, texts) for part in header.groups())
    if mapping.options.sanitize:
        return head + quote(_plain(mapping, name), safe="") + tail
    return head + quote(name, safe="%!") + tail
