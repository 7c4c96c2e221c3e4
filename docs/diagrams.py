"""Pictures for the documentation, drawn as SVG without any other program."""

import tomllib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

_WIDTH: Final = 760
_ROW: Final = 26
_BOX: Final = 24


def transitions(table: Mapping[str, Mapping[str, str]], title: str) -> str:
    """Return a picture of a transition table: a column for each state, a row for each arrow."""
    column = {state: (n + 0.5) * _WIDTH / len(table) for n, state in enumerate(table)}
    moves: dict[tuple[str, str], list[str]] = {}
    for state, row in table.items():
        for trigger, to in row.items():
            moves.setdefault((state, to), []).append(trigger)
    height = _BOX + 14 + _ROW * len(moves)
    box = _WIDTH / len(table) - 6
    parts = [_state(state, x, box, height) for state, x in column.items()]
    for n, ((state, to), triggers) in enumerate(moves.items()):
        y = _BOX + 24 + _ROW * n
        parts.append(_arrow(column[state], column[to], y, f"{state} to {to}", ", ".join(triggers)))
    return _svg(parts, height, title)


def _state(name: str, x: float, width: float, height: float) -> str:
    return (
        f'<line class="life" x1="{x:.0f}" y1="{_BOX}" x2="{x:.0f}" y2="{height}"/>'
        f'<rect x="{x - width / 2:.0f}" y="1" width="{width:.0f}" height="{_BOX}" rx="4"/>'
        f'<text x="{x:.0f}" y="17">{escape(name)}</text>'
    )


def _arrow(start: float, end: float, y: float, ends: str, label: str) -> str:
    title = f"<title>{escape(ends)}: {escape(label)}</title>"
    middle = (start + end) / 2
    if start == end:  # a loop; its label stands to the right of it, or left at the edge
        path = f"M {start:.0f} {y - 6} h 14 v 10 h -12"
        at, anchor = (start + 20, "start") if start < _WIDTH * 0.8 else (start - 6, "end")
        text = f'<text x="{at:.0f}" y="{y + 2}" style="text-anchor:{anchor}">{escape(label)}</text>'
    else:
        path = f"M {start:.0f} {y} H {end + (-2 if end > start else 2):.0f}"
        text = f'<text class="label" x="{middle:.0f}" y="{y - 4}">{escape(label)}</text>'
    return f'<g>{title}{text}<path class="arrow" marker-end="url(#head)" d="{path}"/></g>'


def layer_names(pyproject: Path) -> list[list[str]]:
    """Return the layers of the first contract of import-linter, the highest first."""
    contract = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"][0]
    return [layer.split(" | ") for layer in contract["layers"]]


def layers(pyproject: Path) -> str:
    """Return a picture of the layers: a package imports only from the rows below its own."""
    rows = layer_names(pyproject)
    step = 48
    parts = []
    for n, names in enumerate(rows):
        width = _WIDTH / len(names)
        for m, name in enumerate(names):
            x = m * width
            parts.append(
                f'<rect x="{x + 4:.0f}" y="{n * step + 2}" width="{width - 8:.0f}" '
                f'height="28" rx="4"/>'
                f'<text x="{x + width / 2:.0f}" y="{n * step + 20}">{escape(name)}</text>'
            )
        if n:
            y = n * step
            parts.append(
                f'<path class="arrow" marker-end="url(#head)" d="M {_WIDTH / 2} {y - 16} V {y}"/>'
            )
    return _svg(parts, step * len(rows) - 16, "The layers of the program: imports point down")


def _svg(parts: list[str], height: float, title: str) -> str:
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z"/></marker></defs>'
    )
    body = "\n".join([head, *parts])  # an empty line would end the block of HTML
    return (
        f'<svg class="diagram" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">\n{body}\n</svg>\n'
    )
