"""A batch of rows on its way: what is sent of it, and how each row is found again."""

from collections.abc import Hashable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from deriva_watch.core.rows.adoption import contradictions, natural_key, normal_key
from deriva_watch.core.rows.ledger import Batch
from deriva_watch.core.rows.row_plan import RowsPlan
from deriva_watch.engine.ports import Row
from deriva_watch.engine.rows.insertion import Insertion, Written
from deriva_watch.engine.rows.row_faults import Faults
from deriva_watch.liveness import waiting

Key = frozenset[str]


@dataclass(slots=True)
class Sending:
    """A batch on its way.

    Attributes:
        plan: The file and its table.
        batch: The rows as the journal and the file have them.
        rows: The values to send, by position.
        faults: The rows that cannot be sent, and those that the catalog does not take.
        claimed: Rows that another uploader says are in the catalog.
        keys: The key by which each row is found; None: it needs a leased RID.
        twins: Rows equal to an earlier one of the batch, with its position.
        names: What RIDs are leased for, by position: of rows that had none.
        leased: These RIDs by their names, once they are leased; None: there are no such rows.
        is_kept: Whether the journal has it already.
        items: What was passed to the writer, by position.
        answer: What the writer says of them; None: nothing was passed to it yet.
    """

    plan: RowsPlan
    batch: Batch
    rows: dict[int, Row]
    faults: Faults
    claimed: set[int] = field(init=False)
    keys: dict[int, Key | None] = field(init=False)
    twins: dict[int, int] = field(init=False)
    names: Mapping[int, str] = field(default_factory=dict)
    leased: "Future[dict[str, str]] | None" = None
    is_kept: bool = False
    items: dict[int, Insertion] = field(default_factory=dict)
    answer: "Future[list[Written]] | None" = None

    def __post_init__(self) -> None:
        """Find the key of each row, and the rows that are equal."""
        rows, table = self.rows, self.plan.definition
        self.claimed = {at for at in rows if self.batch.todo[at].row.recorded}
        self.keys = {at: natural_key(table, rows[at]) for at in rows if at not in self.claimed}
        self.twins = self._twins()

    @property
    def keyless(self) -> list[int]:
        """The rows that need a leased RID."""
        return [at for at, key in self.keys.items() if key is None]

    def take_rids(self) -> None:
        """Wait for the leased RIDs; raises as the call that leases them."""
        if self.leased is not None:
            with waiting():
                leased = self.leased.result()
            for at, name in self.names.items():
                self.batch.rids[at] = leased[name]

    def answers(self) -> list[Written]:
        """Wait for the answers of the writer; raises as `CatalogWriter.insert`."""
        if self.answer is None:
            return []
        with waiting():
            return self.answer.result()

    def end(self) -> None:
        """Wait until the writer is done with the rows, however that ends."""
        if self.answer is not None:
            with waiting():
                wait([self.answer])

    def insertions(self) -> dict[int, Insertion]:
        """Return the rows as the writer takes them, by position, without twins."""
        used = set().union(*self.rows.values())
        columns = self.plan.definition.columns
        defaults = tuple(c.name for c in columns if c.has_default and c.name in used)
        ordered = self._ordered_keys()
        items: dict[int, Insertion] = {}
        for at, key in self.keys.items():
            if at in self.twins:
                continue
            given = frozenset(name for name in defaults if name in self.rows[at])
            if key is None:
                items[at] = self._leased(at, given)
            else:
                items[at] = self._keyed(at, ordered[key], given)
        return items

    def _twins(self) -> dict[int, int]:
        """Return rows equal to an earlier one; a row with only its key in common is a fault."""
        table, rows, todo = self.plan.definition, self.rows, self.batch.todo
        ordered = {key: sorted(key) for key in self._used_keys()}
        seen: dict[Hashable, int] = {}
        twins: dict[int, int] = {}
        for at, key in list(self.keys.items()):
            if key is None:
                continue
            first = seen.setdefault(normal_key(ordered[key], table, rows[at]), at)
            if first == at:
                continue
            if contradictions(table, rows[at], rows[first]):
                why = f"{todo[first].row.place} has the same {shown(rows[at], key)}"
                self.faults.add(todo[at].row.place, f"{why} and says otherwise")
                del self.keys[at]
            else:
                twins[at] = first
        return twins

    def _used_keys(self) -> set[Key]:
        return {key for key in self.keys.values() if key is not None}

    def _ordered_keys(self) -> dict[Key, tuple[str, ...]]:
        """Return the columns of each key in an order: rows are looked up by the first one.

        It is the most selective one.
        """
        keys, sent = self._used_keys(), [self.rows[at] for at in self.keys]
        spread = {c: len({str(row.get(c)) for row in sent}) for key in keys for c in key}
        return {key: tuple(sorted(key, key=lambda c: (-spread[c], c))) for key in keys}

    def _leased(self, at: int, given: frozenset[str]) -> Insertion:
        return Insertion(
            self.plan.table,
            {**self.rows[at], "RID": self.batch.rids[at]},
            ("RID",),
            given_rid=True,
            is_new=at in self.names,
            apart=given,
        )

    def _keyed(self, at: int, columns: tuple[str, ...], given: frozenset[str]) -> Insertion:
        table = self.plan.definition
        return Insertion(
            self.plan.table,
            self.rows[at],
            columns,
            apart=given,
            named=lambda row: (normal_key(columns, table, row),),
        )


def shown(values: Mapping[str, Any], key: Key) -> str:
    """Return the columns of *key* with their values, for a sentence."""
    return ", ".join(f"{name} = {values[name]!r}" for name in sorted(key))
