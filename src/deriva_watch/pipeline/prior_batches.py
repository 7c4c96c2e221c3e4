"""The batches that a lost journal had formed, as their receipts in the state directory list them.

A new journal forms them again, with the same names. Whether the files still have the same bytes is
found out when they have been read; see `prior_executions`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deriva_watch.core.completeness.batching import BATCH
from deriva_watch.core.drop.drop_folder import Drop
from deriva_watch.core.errors import RefusedError
from deriva_watch.edges.disk import receipts
from deriva_watch.edges.journal import Journal
from deriva_watch.pipeline.receipt_schema import Receipt, read
from deriva_watch.settings.model import Settings


@dataclass(slots=True)
class PriorBatches:
    """Finds the batches of receipts that the journal does not know."""

    settings: Settings
    journal: Journal
    server: str
    _elsewhere: dict[str, str | None] = field(default_factory=dict)  # name → prefix of a receipt

    def of(self, drop: Drop, sizes: Mapping[str, int]) -> dict[str, list[str]]:
        """Return the files, given with their *sizes*, that were in a batch, by its name.

        Of several batches that had a file of that path and size, the latest counts.
        """
        latest: dict[str, tuple[datetime, str]] = {}
        for receipt in self._unknown(str(drop.path)) if drop.unit == "batch" else ():
            told = receipt.written_at, receipt.unit or ""
            for line in receipt.files:
                if line.state != "removed" and sizes.get(line.path) == line.size_bytes:
                    latest[line.path] = max(told, latest.get(line.path, told))
        found: dict[str, list[str]] = defaultdict(list)
        for path, (_, name) in latest.items():
            found[name].append(path)
        return found

    def _unknown(self, prefix: str) -> Iterator[Receipt]:
        """Yield the receipts of a folder's batches that are not in the journal."""
        folder, drops = self.settings.state_directory, self.settings.drops
        known = {
            receipts.kept_as(record)
            for each in drops
            for record in self.journal.executions(prefix=str(each))
        }
        for name in receipts.receipt_names(folder, self.server):
            if not name.startswith(BATCH) or name in known:
                continue
            if self._elsewhere.get(name, prefix) != prefix:
                continue
            try:
                receipt = read(receipts.read_receipt(folder, self.server, name), name)
            except RefusedError:  # `verify` tells
                self._elsewhere[name] = None
                continue
            self._elsewhere[name] = receipt.prefix
            if receipt.prefix == prefix and receipt.unit:
                yield receipt
