"""Units whose folder was renamed after the upload: their files count once.

The folder under its new name is another unit with the same Execution and the same rows. The
journal keeps both, as it keeps everything that was uploaded.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from deriva_watch.core.states import SAFE, FileState
from deriva_watch.edges.journal import Reader
from deriva_watch.edges.journal.status_queries import Amount, Sharer

_MOVED = frozenset(FileState) - {FileState.REMOVED}  # what we removed was not there to be renamed


@dataclass(frozen=True, slots=True)
class Renamed:
    """Units that are gone, and whose files are those of another unit now.

    Attributes:
        units: Their numbers.
        files: How many of their files are in each state.
        safe_bytes: The bytes of those that are in the catalog.
        safe_units: How many of the units have files in the catalog.
    """

    units: frozenset[int] = frozenset()
    files: Mapping[FileState, int] = field(default_factory=dict)
    safe_bytes: int = 0
    safe_units: int = 0

    @classmethod
    def of(cls, reader: Reader) -> "Renamed":
        """Return those that the journal has."""
        units = replaced(reader.sharers())
        return cls._with(units, reader.amounts(units).values()) if units else cls()

    @classmethod
    def _with(
        cls, units: Collection[int], amounts: Iterable[Mapping[FileState, Amount]]
    ) -> "Renamed":
        files, safe_bytes, safe_units = Counter[FileState](), 0, 0
        for by_state in amounts:
            moved = {state: amount for state, amount in by_state.items() if state in _MOVED}
            files.update({state: amount.files for state, amount in moved.items()})
            safe_bytes += sum(amount.bytes for state, amount in moved.items() if state in SAFE)
            safe_units += any(by_state.get(state, Amount()).files for state in SAFE)
        return cls(frozenset(units), files, safe_bytes, safe_units)


def replaced(sharers: Iterable[Sharer]) -> list[int]:
    """Return the units that are gone, of those that share an Execution, without the last one.

    Nothing is replaced by a unit that is gone too, unless it came later.
    """
    found: list[int] = []
    for units in _by_execution(sharers).values():
        there = [unit for unit in units if not unit.is_gone]
        kept = there or units[-1:]
        found += [unit.number for unit in units if unit not in kept]
    return found


def earlier(sharers: Iterable[Sharer]) -> dict[int, list[int]]:
    """Return, for each unit, the gone ones with the same Execution that came before it."""
    return {
        unit.number: [each.number for each in units[:place] if each.is_gone]
        for units in _by_execution(sharers).values()
        for place, unit in enumerate(units)
    }


def _by_execution(sharers: Iterable[Sharer]) -> dict[tuple[str, str], list[Sharer]]:
    groups: defaultdict[tuple[str, str], list[Sharer]] = defaultdict(list)
    for each in sharers:
        groups[each.shared].append(each)
    return groups
