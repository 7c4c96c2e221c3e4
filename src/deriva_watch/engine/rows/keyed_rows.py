"""Checks that the rows of a file that have a key are still in their table, with equal values."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from deriva_watch.core.rows.adoption import contradictions, natural_key, normal_key
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.core.rows.table_files import RawRow
from deriva_watch.engine.call_retry import CallRetry
from deriva_watch.engine.ports import Catalog, Row
from deriva_watch.engine.rows.references import References, values_of
from deriva_watch.engine.rows.row_source import opened, rows_in
from deriva_watch.engine.unit_upload import UnitUpload

_TOGETHER: Final = 1000

Keyed = tuple[str, Row]  # its place and values


@dataclass(frozen=True, slots=True)
class KeyedRows:
    """Finds rows by their keys."""

    catalog: Catalog
    call_retry: CallRetry

    def differences(self, upload: UnitUpload, path: str) -> Iterator[str]:
        """Return which rows of a file are not in the table, or have other values there.

        Does not check rows without a key and rows that were never sent.
        """
        plan, references = upload.rows[path], References(upload, self.catalog, self.call_retry)
        with opened(upload.disk, plan) as body:
            rows = self._keyed(plan, references, rows_in(plan, body))
            while group := list(islice(rows, _TOGETHER)):
                references.respell(plan, [values for _, values in group])
                yield from self._compared(plan, group)

    def _keyed(
        self, plan: RowsPlan, references: References, rows: Iterator[RawRow]
    ) -> Iterator[Keyed]:
        for row in rows:
            try:
                values = {} if row.recorded else values_of(plan, references, row)
            except ValueError:
                continue
            if values and natural_key(plan.definition, values):
                yield row.place, values

    def _compared(self, plan: RowsPlan, rows: Sequence[Keyed]) -> Iterator[str]:
        table = plan.definition
        groups: defaultdict[frozenset[str], list[Keyed]] = defaultdict(list)
        for place, values in rows:
            groups[natural_key(table, values) or frozenset()].append((place, values))
        for key, group in groups.items():
            said = {name: {str(values[name]): values[name] for _, values in group} for name in key}
            telling = max(sorted(key), key=lambda name: len(said[name]))
            wanted = list(said[telling].values())
            ask = partial(self.catalog.rows_with, plan.table, telling, wanted)
            found = self.call_retry(f"GET {plan.table}", ask)
            there = {normal_key(sorted(key), table, row): row for row in found}
            for place, values in group:
                row = there.get(normal_key(sorted(key), table, values))
                if row is None:
                    yield f"{place}: its row is no longer in {plan.table}"
                elif odd := contradictions(table, values, row):
                    told = "; ".join(f"{c} = {row.get(c)!r}, not {values[c]!r}" for c in odd)
                    yield f"{place}: row {row['RID']} of {plan.table} says {told}"
