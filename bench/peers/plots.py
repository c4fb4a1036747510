"""Bar charts as SVG text: one group of bars for each scenario, one bar for each peer. Pure: figures in, text
out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#b4552d", "#4878a8", "#7a9e59", "#9a6fb0", "#8a8a8a")
WIDTH, LEFT, ROW, BAR, GAP, TOP = 860, 250, 20, 14, 14, 56
RIGHT = 110


def bars(
    title: str, unit: str, groups: Sequence[tuple[str, Mapping[str, float]]], names: Sequence[str]
) -> str:
    """Return a chart on a logarithmic scale. ``groups``: (name, {bar's name: value}); ``names`` assigns
    colours to the bars' names.
    """
    values = [value for _, bars_ in groups for value in bars_.values() if value > 0]
    low = 10 ** math.floor(math.log10(min(values, default=1.0)))
    high = 10 ** math.ceil(math.log10(max(values, default=10.0)))
    decades = max(1, round(math.log10(high / low)))
    scale = (WIDTH - LEFT - RIGHT) / decades
    height = TOP + sum(ROW * len(bars_) + GAP for _, bars_ in groups) + 30
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="16">{escape(title)}</text>',
        f'<text x="16" y="42" fill="#666666">{escape(unit)}, logarithmic scale</text>',
    ]
    for decade in range(decades + 1):
        x = LEFT + decade * scale
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 24}" stroke="#dddddd"/>')
        out.append(
            f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle" fill="#666666">{figure(low * 10**decade)}</text>'
        )
    y = TOP
    for name, bars_ in groups:
        out.append(f'<text x="16" y="{y + BAR}" font-weight="bold">{escape(name)}</text>')
        for bar, value in bars_.items():
            length = max(1.0, math.log10(value / low) * scale) if value > 0 else 0.0
            colour = COLOURS[list(names).index(bar) % len(COLOURS)]
            out.append(f'<text x="{LEFT - 6}" y="{y + BAR - 2}" text-anchor="end">{escape(bar)}</text>')
            out.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
            out.append(f'<text x="{LEFT + length + 5:.1f}" y="{y + BAR - 2}">{figure(value)}</text>')
            y += ROW
        y += GAP
    return "\n".join([*out, "</svg>", ""])


def figure(value: float) -> str:
    """Return a number with about three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
