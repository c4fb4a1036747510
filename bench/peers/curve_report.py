"""The load curves as Markdown tables and as charts. Pure: figures in, text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.peers.curve_plot import Line, curves
from bench.peers.figures import BUSY, Figures
from bench.peers.fleet import TITLES
from bench.peers.load_curve import Point, sustained
from bench.peers.plots import figure

# scenario ▶ the end of its charts' names, and what is said of it in their titles
CURVES = {
    "l": ("", "all on the same cores"),
    "lp": ("-pinned", "services and broker or store on a core each"),
}
ACROSS = "messages a second, each for ten members"


def section(peers: Mapping[str, Figures], charts: Mapping[str, str]) -> list[str]:
    """Return the lines of one curve's section; ``charts``: file name ▶ title."""
    rates = sorted({rate for one in peers.values() for rate in one.curve})
    out = [
        "p50 / p99 in ms:",
        "",
        *_table(peers, rates, lambda point: f"{figure(point.p50)} / {figure(point.p99)}"),
        "",
        "CPU in µs a delivery, services + broker or store:",
        "",
        *_table(peers, rates, lambda point: f"{figure(point.cpu)} + {figure(point.store_cpu)}"),
        "",
        "Delivered a second, and what became of all messages (those of the rate that was not sustained too):",
        "",
        *_table(peers, rates, _delivered, tolls=True),
    ]
    if notes := [line for key, one in peers.items() for line in _notes(TITLES[key], one)]:
        out += ["", *notes]
    return [*out, "", *(f"![{title}]({name})" for name, title in charts.items())]


def _delivered(point: Point) -> str:
    return f"{point.delivered:,.0f}{' *' if point.generator > BUSY else ''}"


def _table(
    peers: Mapping[str, Figures],
    rates: list[int],
    cell: Callable[[Point], str],
    *,
    tolls: bool = False,
) -> list[str]:
    heads = ["", *(f"{rate:,}/s" for rate in rates)]
    if tolls:
        heads += ["sent", "lost", "doubled", "out of order", "other"]
    lines = [f"| {' | '.join(heads)} |", f"| --- {'| ---: ' * (len(heads) - 1)}|"]
    for key, one in peers.items():
        kept_up = sustained(one.curve)
        cells = [cell(kept_up[rate]) if rate in kept_up else "–" for rate in rates]
        if tolls:
            cells += [f"{count:,}" for count in (one.sent, one.lost, one.doubled, one.disordered, one.other)]
        lines.append(f"| {' | '.join([TITLES[key], *cells])} |")
    return lines


def _notes(title: str, one: Figures) -> list[str]:
    """Say what took two tries, where a curve ends before its last rate, and why."""
    again = [f"{rate:,}" for rate, point in sustained(one.curve).items() if point.tries > 1]
    lines = [f"* {title} sustained {', '.join(again)} a second at the second try."] if again else []
    failed = next(((rate, point) for rate, point in sorted(one.curve.items()) if not point.sustained), None)
    if failed is not None:
        rate, point = failed
        lines.append(
            f"* {title} did not sustain {rate:,} a second: {point.share:.0%} of what was sent in that time arrived in it, p99 {figure(point.p99)} ms. It was tried twice, and not asked for more."
        )
    if one.error:
        lines.append(f"* {title}: {one.error}")
    return lines


def names(day: str, scenario: str) -> dict[str, str]:
    """Return the file names of a curve's charts with their titles."""
    end, where = CURVES[scenario]
    return {
        f"{day}-curve{end}.svg": f"Latency by load, {where}",
        f"{day}-curve-cpu{end}.svg": f"CPU of services and broker or store by load, {where}",
    }


def charts(day: str, scenario: str, peers: Mapping[str, Figures]) -> dict[str, str]:
    """Return the charts of one curve as SVG, by file name."""
    kept_up = {TITLES[key]: sustained(one.curve) for key, one in peers.items()}

    def lines(value: Callable[[Point], float], *, dashed: bool = False) -> list[Line]:
        return [
            Line(name, [(rate, value(point)) for rate, point in points.items()], dashed)
            for name, points in kept_up.items()
        ]

    order = list(TITLES.values())
    (latency, latency_title), (cpu, cpu_title) = names(day, scenario).items()
    both = [*lines(lambda point: point.p50), *lines(lambda point: point.p99, dashed=True)]
    sums = lines(lambda point: point.cpu + point.store_cpu)
    return {
        latency: curves(latency_title, "ms, end to end", ACROSS, both, order, ("p50", "p99")),
        cpu: curves(cpu_title, "µs a delivered message", ACROSS, sums, order),
    }
