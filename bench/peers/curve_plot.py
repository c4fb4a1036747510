"""Line charts as SVG text, both axes logarithmic: one colour and mark for each peer, solid and dashed lines.
Pure: figures in, text out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from bench.peers.plots import COLOURS, figure

WIDTH, HEIGHT = 900, 460
LEFT, RIGHT, TOP, BOTTOM = 62, 264, 62, 52
# Not colours alone tell the lines apart. Circle, square, diamond, triangles up and down.
MARKS = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "M-3.5,-3.5h7v7h-7z",
    "M0,-5l5,5l-5,5l-5,-5z",
    "M0,-4.5l4.5,8h-9z",
    "M0,4.5l4.5,-8h-9z",
)
DASHES = ' stroke-dasharray="5 4"'


@dataclass(frozen=True, slots=True)
class Line:
    """One line; ``name`` decides its colour and mark. Its points are (x, y), both above 0."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def curves(
    title: str,
    unit: str,
    across: str,
    lines: Sequence[Line],
    names: Sequence[str],
    styles: tuple[str, str] | None = None,
) -> str:
    """Return a chart. ``unit`` and ``across`` say what the y and x axes show; ``names`` assigns colours and
    marks; ``styles`` says what a solid and a dashed line are (None: all are solid).
    """
    drawn = [
        Line(line.name, [point for point in line.points if min(point) > 0], line.dashed) for line in lines
    ]
    drawn = [line for line in drawn if line.points]
    xs = sorted({x for line in drawn for x, _ in line.points}) or [1.0]
    rows = _grid([y for line in drawn for _, y in line.points])
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="16" fill="#000000">{escape(title)}</text>',
        f'<text x="16" y="44" fill="#666666">{escape(unit)}; both scales logarithmic; a line ends at the highest rate that was sustained</text>',
    ]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for x in xs:
        at = _scaled(x, xs[0], xs[-1], LEFT + 14, right - 14)
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}" stroke="#eeeeee"/>')
        out.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#666666">{x:,.0f}</text>'
        )
    for y in rows:
        at = _scaled(y, rows[0], rows[-1], bottom, TOP)
        shade = "#cccccc" if math.isclose(math.log10(y), round(math.log10(y)), abs_tol=1e-9) else "#eeeeee"
        out.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="{shade}"/>')
        out.append(
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#666666">{_short(y)}</text>'
        )
    out.append(
        f'<text x="{(LEFT + right) / 2:.1f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#666666">{escape(across)}</text>'
    )
    order = list(names)
    # The first peer is drawn last, so that no other one's line hides it.
    for line in sorted(drawn, key=lambda one: -order.index(one.name)):
        number = order.index(line.name)
        places = [
            (_scaled(x, xs[0], xs[-1], LEFT + 14, right - 14), _scaled(y, rows[0], rows[-1], bottom, TOP))
            for x, y in line.points
        ]
        out += _drawn(places, number, dashed=line.dashed)
    out += _legend([name for name in order if any(line.name == name for line in drawn)], order, styles)
    return "\n".join([*out, "</svg>", ""])


def _drawn(places: Sequence[tuple[float, float]], number: int, *, dashed: bool) -> Iterable[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{DASHES if dashed else ""}/>'
    for x, y in places:
        yield _mark(x, y, number, "#ffffff" if dashed else colour)


def _mark(x: float, y: float, number: int, fill: str) -> str:
    shape, colour = MARKS[number % len(MARKS)], COLOURS[number % len(COLOURS)]
    return f'<path d="{shape}" transform="translate({x:.1f},{y:.1f})" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'


def _legend(shown: Sequence[str], order: Sequence[str], styles: tuple[str, str] | None) -> Iterable[str]:
    x, y = WIDTH - RIGHT + 18, TOP + 10
    for name in shown:
        number = order.index(name)
        colour = COLOURS[number % len(COLOURS)]
        yield f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        yield _mark(x + 14, y, number, colour)
        yield f'<text x="{x + 38}" y="{y + 4}" fill="#000000">{escape(name)}</text>'
        y += 22
    for style, dashes in zip(styles or (), ("", DASHES), strict=False):
        y += 6
        yield f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" stroke="#444444" stroke-width="2"{dashes}/>'
        yield f'<text x="{x + 38}" y="{y + 4}" fill="#000000">{escape(style)}</text>'
        y += 16


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    """Return where a value stands on a logarithmic axis; in its middle if the axis has one value only."""
    part = math.log(value / low) / math.log(high / low) if high > low else 0.5
    return start + part * (end - start)


def _grid(values: Sequence[float]) -> list[float]:
    """Return the lines across: 1, 2 and 5 of each decade, from the last one at or below all values to the
    first one at or above them.
    """
    low, high = min(values, default=1.0), max(values, default=10.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    first = max(index for index, step in enumerate(steps) if step <= low)
    last = min(index for index, step in enumerate(steps) if step >= high)
    return steps[first : max(last, first + 1) + 1]


def _short(value: float) -> str:
    return figure(value).rstrip("0").rstrip(".") if value < 100 else figure(value)
