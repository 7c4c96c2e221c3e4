"""The table: text for a terminal, JSON for programs."""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from bench.figures import Figure, Goal, Round, median
from bench.site import Row

HEAD = ("work", "by", "amount", "s", "a second", "CPU ms each", "MiB", "ratio, goal")
Measured = list[tuple[Row, list[Round]]]


def document(measured: Measured) -> dict[str, Any]:
    """Return everything that was measured, with the medians and what became of the goals."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    return {"machine": machine, "rows": [_row(row, rounds) for row, rounds in measured]}


def _row(row: Row, rounds: list[Round]) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "rounds": len(rounds),
        "competitors": {
            name: asdict(median([each[name] for each in rounds]))
            | {"rate": median([each[name] for each in rounds]).rate}
            for name in rounds[0]
        },
        "goals": [_goal(goal, rounds) for goal in row.goals],
        "all": [{name: asdict(figure) for name, figure in each.items()} for each in rounds],
    }


def _goal(goal: Goal, rounds: list[Round]) -> dict[str, Any]:
    value = goal.value(rounds)
    limits = {"at_least": goal.at_least, "at_most": goal.at_most}
    return {"what": goal.what, "value": value, "met": goal.is_met(value)} | {
        name: limit for name, limit in limits.items() if limit is not None
    }


def text(measured: Measured) -> str:
    """Return the table for people."""
    lines = [HEAD]
    for row, rounds in measured:
        lines += _lines(row, rounds)
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(_joined(line, widths) for line in lines)


def _joined(line: Iterable[str], widths: list[int]) -> str:
    left = {0, 1, len(widths) - 1}
    cells = [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _lines(row: Row, rounds: list[Round]) -> Iterator[tuple[str, ...]]:
    """Yield a line for every competitor, and beside them the goals."""
    figures = {name: median([each[name] for each in rounds]) for name in rounds[0]}
    says = [_said(goal, rounds) for goal in row.goals]
    titles = [f"{row.name}: {row.title}"]
    cells = [_cells(row, name, figure) for name, figure in figures.items()]
    for number in range(max(len(says), len(cells))):
        title = titles[number] if number < len(titles) else ""
        middle = cells[number] if number < len(cells) else ("",) * 6
        yield title, *middle, says[number] if number < len(says) else ""


def _cells(row: Row, name: str, figure: Figure) -> tuple[str, ...]:
    return (
        name,
        f"{figure.amount:,.0f} {row.unit}",
        f"{figure.seconds:.2f}",
        f"{figure.rate:,.1f}",
        f"{1000 * figure.cpu_s / figure.amount:.2f}",
        f"{figure.peak_mib:.0f}",
    )


def _said(goal: Goal, rounds: list[Round]) -> str:
    value = goal.value(rounds)
    sign, limit = ("≥", goal.at_least) if goal.at_least is not None else ("≤", goal.at_most)
    mark = "✓" if goal.is_met(value) else "✗"
    return f"{mark} {goal.what} {value:.2f} ({sign} {limit:g})"


def rates(measured: Measured) -> Iterator[tuple[Row, Mapping[str, float]]]:
    """Yield the median rates of every row, by competitor."""
    for row, rounds in measured:
        yield row, {name: median([each[name] for each in rounds]).rate for name in rounds[0]}
