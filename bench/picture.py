"""The rates of the table as a picture: SVG, so that it needs no library."""

from collections.abc import Iterator
from html import escape

from bench.table import Measured, rates

WIDTH, LEFT, LINE, BAR = 760, 130, 20, 480
COLOURS = {"ours": "#2b6cb0", "before": "#90cdf4", "deriva-py": "#c05621", "floor": "#a0aec0"}


def svg(measured: Measured) -> str:
    """Return a picture with a group of bars for every row; the longest bar of a group fills it."""
    parts = list(_parts(measured))
    height = max(down for _, down in parts)
    style = "font: 12px sans-serif; background: white"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + LINE}"'
    return "\n".join([f'{head} style="{style}">', *(part for part, _ in parts), "</svg>\n"])


def _parts(measured: Measured) -> Iterator[tuple[str, int]]:
    """Yield each part, and how far down the picture reaches with it."""
    y = LINE
    for row, by_name in rates(measured):
        yield _text(4, y, row.title, "font-weight: bold"), y
        fastest = max(by_name.values())
        for name, rate in by_name.items():
            y += LINE
            width = max(1, round(BAR * rate / fastest))
            colour = COLOURS[name.partition(",")[0]]
            bar = f'<rect x="{LEFT}" y="{y - 11}" width="{width}" height="14" fill="{colour}"/>'
            yield _text(4, y, name) + bar, y
            yield _text(LEFT + width + 6, y, f"{rate:,.0f} {row.unit}/s"), y
        y += 2 * LINE


def _text(x: int, y: int, text: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}" style="{style}">{escape(text)}</text>'
