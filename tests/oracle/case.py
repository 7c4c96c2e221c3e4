"""What both uploaders are given, and the trees that many cases share."""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Case:
    """A spec, a tree, and the files that both must bring in.

    Attributes:
        stages: Trees that are uploaded one after the other: by path, the content.
        brings: The files of the last stage that are brought in; the others fail or are passed over.
        rows: What the catalog holds before, by table.
        sections: Further settings of ours.
        border: Above which size deriva-py sends chunks, in bytes; None: its own, 25 MiB.
    """

    spec: dict[str, Any]
    stages: tuple[dict[str, bytes], ...]
    brings: frozenset[str]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    border: int | None = None


def case(
    document: dict[str, Any], *stages: dict[str, bytes], fails: tuple[str, ...] = (), **more: Any
) -> Case:
    """Return a case; all files of the last stage are brought in but those in *fails*."""
    brings = frozenset(stages[-1].keys() - set(fails))
    return Case(document, stages, **({"brings": brings} | more))


ONE: Final = {"scans/S1/a.png": b"one"}
TWO: Final = {"scans/S1/a.png": b"one", "scans/S2/b.dat": b"two"}
DOCS: Final = {"docs/S1/a.txt": b"one", "docs/S2/b.txt": b"two"}
