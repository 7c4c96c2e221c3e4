"""The second file of a receipt: the RIDs of rows that have no key."""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from deriva_watch.core.completeness.observation import ROWS_NAME
from deriva_watch.core.json_text import read_json
from deriva_watch.core.records import BatchRecord
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import DIGEST_BYTES
from deriva_watch.edges.disk import own_files
from deriva_watch.edges.disk.own_files import Beside
from deriva_watch.edges.disk.receipts import receipt_path

_ROWS: Final = 1  # the format of the lines
_LINE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class RowReceipt:
    """A second file of a receipt: the RIDs of the execution's rows that have no key.

    The catalog cannot tell which rows these are. If the journal is lost, a new one reads them from
    here. There may be millions, so it is written and read in batches.

    Attributes:
        kept: Its path in the state directory.
        beside: The folder of the unit, which has a copy.
        head: What it belongs to: server, execution and directory.
    """

    kept: Path
    beside: Beside
    head: Mapping[str, str]

    @classmethod
    def of(cls, state_directory: Path, server: str, rid: str, beside: Beside) -> Self:
        """Return the one of an execution directory, whether or not the file exists."""
        kept = receipt_path(state_directory, server, rid).with_suffix(".rows.jsonl")
        head = {"server": server, "execution": rid, "directory": os.fsdecode(beside.root)}
        return cls(kept, beside, head)

    def write(self, batches: Iterable[tuple[str, BatchRecord]]) -> bool:
        """Write batches by path to the state directory; return whether there were any.

        Without batches no file is written. Raises OSError if it cannot be written.
        """
        lines = (_row_line(path, batch) for path, batch in batches)
        if (line := next(lines, None)) is None:
            return False
        head = _json_line({"rows": _ROWS, **self.head})
        with own_files.opened(self.kept.parent) as folder:
            own_files.replace(folder, self.kept.name, chain([head, line], lines), 0o600)
        return True

    def leave_copy(self) -> None:
        """Write a copy beside the files; OSError if we may not write there."""
        with self.kept.open("rb") as file, self.beside.opened() as folder:
            own_files.replace(
                folder, ROWS_NAME, iter(partial(file.read, _LINE_BYTES), b""), mode=0o644
            )

    def read(self, path: str, doubt: Callable[[str], None]) -> Iterator[Batch]:
        """Yield the batches of a file of rows; report what cannot be read to *doubt*.

        The result is only a hint: anybody may have written the copy.
        """
        for is_copy in (False, True):
            found = False
            try:
                for batch in self._read(path, is_copy=is_copy):
                    found = True
                    yield batch
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                place = f"the copy {ROWS_NAME}" if is_copy else self.kept
                doubt(f"{place} is ignored from here on: {error}")
            if found:
                return

    @contextmanager
    def _open(self, *, is_copy: bool) -> Iterator[BinaryIO]:
        if not is_copy:
            with self.kept.open("rb") as file:
                yield file
            return
        trusted = self.beside.trusted
        with (
            self.beside.opened() as folder,
            own_files.open_copy(folder, ROWS_NAME, trusted) as file,
        ):
            yield file

    def _read(self, path: str, *, is_copy: bool) -> Iterator[Batch]:
        with self._open(is_copy=is_copy) as file:
            self._check(file.readline(_LINE_BYTES), is_copy=is_copy)
            for number, line in enumerate(iter(partial(file.readline, _LINE_BYTES), b""), 2):
                try:
                    said = read_json(line)
                    batch = _row_batch(said) if said["file"] == path else None
                except (ValueError, KeyError, TypeError) as error:
                    raise ValueError(
                        f"line {number} was not written by deriva-watch ({error!r})"
                    ) from None
                if batch:
                    yield batch

    def _check(self, line: bytes, *, is_copy: bool) -> None:
        """Raise ValueError if a file with that first line belongs to another execution."""
        try:
            head = read_json(line)
            odd = [name for name, value in self.head.items() if head[name] != value]
            if head["rows"] != _ROWS:
                odd.append("rows")
        except (ValueError, KeyError, TypeError):
            raise ValueError("line 1 was not written by deriva-watch") from None
        if is_copy:  # the directory may have been moved
            odd = [name for name in odd if name != "directory"]
        if odd:
            raise ValueError(f"it is of another {', '.join(odd)}")


def _row_line(path: str, batch: BatchRecord) -> bytes:
    digests = b64encode(batch.digests).decode()
    return _json_line({"file": path, "first": batch.first, "digests": digests, "rids": batch.rids})


def _json_line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"  # surrogates are escaped


def _row_batch(said: Mapping[str, Any]) -> Batch:
    whole = b64decode(said["digests"], validate=True)
    digests = [whole[at : at + DIGEST_BYTES] for at in range(0, len(whole), DIGEST_BYTES)]
    rids: list[str | None] = said["rids"] or [None] * len(digests)
    texts = all(rid is None or isinstance(rid, str) for rid in rids)
    if not texts or len(rids) * DIGEST_BYTES != len(whole) or not isinstance(said["first"], int):
        raise ValueError("invalid batch")
    return Batch(said["first"], digests, rids, sent=False)
