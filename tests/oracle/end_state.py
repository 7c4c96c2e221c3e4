"""What a server holds, asked over plain HTTP and told so that two servers can be compared.

What a server gives by itself is told by what it stands for: the version in a URL by its place among
the versions of its object and the content's digest, the RID of a row by all else the row says.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from running import Api

_GIVEN: Final = frozenset({"RID", "RCT", "RMT"})
# Our engine leases the RID of a row that has no key of its own; the lease says nothing about data.
_LEASES: Final = "public:ERMrest_RID_Lease"
_HEADERS: Final = (
    "content-type",
    "content-length",
    "content-md5",
    "content-sha256",
    "content-disposition",
)


@dataclass(frozen=True)
class EndState:
    """All rows of all tables, and all versions of all objects.

    Attributes:
        rows: By table; every row as text, counted.
        objects: By name; every version, the oldest first, with digest and headers.
    """

    rows: dict[str, Counter[str]]
    objects: dict[str, list[dict[str, Any]]]


NOTHING: Final = EndState({}, {})


def end_state(ready: dict[str, Any]) -> EndState:
    """Ask a server for all that it holds."""
    api = Api(ready)
    objects: dict[str, list[dict[str, Any]]] = {}
    stands_for: dict[str, str] = {}
    versions = api.versions()
    with api.session() as session:
        for name, urls in versions.items():
            objects[name] = []
            for number, url in enumerate(urls):
                answer = session.get(api.url + url)
                answer.raise_for_status()
                digest = hashlib.sha256(answer.content).hexdigest()
                headers = {h: answer.headers[h] for h in _HEADERS if h in answer.headers}
                objects[name].append({"sha256": digest} | headers)
                plain = f"{name}@{number}:{digest}"
                stands_for |= {url: plain, quote(url, safe=""): quote(plain, safe="")}
    rows = {
        table: Counter(_told(row, stands_for) for row in found.values())
        for table, found in api.tables().items()
        if table != _LEASES
    }
    return EndState(rows, objects)


def _told(row: dict[str, Any], stands_for: dict[str, str]) -> str:
    said = json.dumps({k: v for k, v in row.items() if k not in _GIVEN}, sort_keys=True)
    for url, plain in stands_for.items():
        said = said.replace(url, plain)
    return said


def differences(theirs: EndState, ours: EndState) -> list[str]:
    """Say in what two end states differ, a line for each difference."""
    lines = []
    for name in sorted(theirs.objects.keys() | ours.objects.keys()):
        a, b = theirs.objects.get(name), ours.objects.get(name)
        if a != b:
            lines.append(f"{name}\n  theirs {a}\n  ours   {b}")
    for table in sorted(theirs.rows.keys() | ours.rows.keys()):
        a, b = theirs.rows.get(table, Counter()), ours.rows.get(table, Counter())
        lines += [f"{table}\n  theirs {row}" for row in (a - b).elements()]
        lines += [f"{table}\n  ours   {row}" for row in (b - a).elements()]
    return lines
