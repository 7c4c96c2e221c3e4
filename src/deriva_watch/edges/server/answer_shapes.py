"""Checks that an answer has the shape that its request asks for, where it arrives.

Proxies, login portals and half-started servers answer 200 with anything. Anything that is not
an answer raises `UnexpectedAnswerError`, which `deriva.Server.asking` turns into a transient error.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import requests

from deriva_watch.core.json_text import JsonError, read_repeated

LARGEST_ANSWER_BYTES: Final = 64 << 20  # of rows or a model, decompressed


class UnexpectedAnswerError(Exception):
    """An answer that is none; its text says what was wanted and where it came from."""


@contextmanager
def reading(answer: requests.Response | str, wanted: str) -> Iterator[None]:
    """Read a part of *answer*, or of that to the request it names.

    What it lacks is an UnexpectedAnswerError that names *wanted*.
    """
    try:
        yield
    except JsonError as error:
        raise UnexpectedAnswerError(
            f"the answer to {_asked(answer)} is not JSON: {error}"
        ) from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise UnexpectedAnswerError(f"the answer to {_asked(answer)} is not {wanted}") from None


def json_value(answer: requests.Response) -> Any:
    """Return the JSON in *answer*; JsonError if there is none, or more than the memory is for."""
    return read_repeated(answer.content)


def json_object(answer: requests.Response, *keys: str) -> Mapping[str, Any]:
    """Return the JSON object in *answer*, which must have all *keys*."""
    with reading(answer, "the JSON object that was expected"):
        found: Mapping[str, Any] = json_value(answer)
        for key in keys:
            _ = found[key]
        return dict(found)


def json_rows(answer: requests.Response, *keys: str) -> list[dict[str, Any]]:
    """Return the list of rows in *answer*, each of which must have all *keys*."""
    with reading(answer, "a list of rows"):
        rows: list[dict[str, Any]] = json_value(answer)
        if not isinstance(rows, list):
            raise TypeError
        for row in rows:
            for key in keys:
                _ = row[key]
            row.keys()
        return rows


def json_texts(answer: requests.Response) -> list[str]:
    """Return the list of texts in *answer*."""
    with reading(answer, "a list of addresses"):
        texts: list[str] = json_value(answer)
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise TypeError
        return texts


def limited(blocks: Iterator[bytes], url: str) -> Iterator[bytes]:
    """Yield the *blocks* of an answer; UnexpectedAnswerError where it is too long to be one."""
    left = LARGEST_ANSWER_BYTES
    for block in blocks:
        left -= len(block)
        if left < 0:
            raise UnexpectedAnswerError(
                f"the answer to {url} is longer than {LARGEST_ANSWER_BYTES >> 20} MiB"
            )
        yield block


def _asked(answer: requests.Response | str) -> str:
    if isinstance(answer, str):
        return answer
    return f"{answer.request.method} {answer.request.url}"
