"""The report as Markdown: the targets, one table for each scenario, how it was measured and on which machine.
Pure: figures in, text out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.peers import curve_report
from bench.peers.figures import BUSY, Figures
from bench.peers.fleet import PEERS, TITLES
from bench.peers.performance_targets import Row, Table
from bench.peers.plots import bars, figure
from bench.peers.scenario import SCENARIOS

RECOVERS = {peer.key: peer.recovers for peer in PEERS}
CHARTS = (
    ("rate", "Delivered messages a second at saturation", "messages a second (more is better)"),
    ("p99", "p99 end to end at half of its own saturation", "ms (less is better)"),
    (
        "cpu",
        "CPU of all server processes at saturation, without broker or store",
        "µs a delivered message (less is better)",
    ),
)


def markdown(
    table: Table,
    targets: Sequence[Row],
    machine: Mapping[str, str],
    *,
    day: str,
    quick: bool,
    charts: Sequence[str],
) -> str:
    """Return the whole report."""
    out = [f"# Warren beside its peers, {day}", ""]
    if quick:
        out += ["**A quick run: small sizes and short phases, to see that all works. Not for quoting.**", ""]
    out += ["## Targets", "", *targets_table(targets), ""]
    out += [
        line
        for scenario in SCENARIOS
        if scenario.key in table
        for line in _section(scenario.key, scenario.title, table[scenario.key], day)
    ]
    out += [f"![{title}]({name})" for name, (_, title, _) in zip(charts, CHARTS, strict=False)]
    out += ["", "## How to read it", "", *READING, "", "## The machine", "", "| | |", "| --- | --- |"]
    out += [f"| {name} | {value} |" for name, value in machine.items()]
    return "\n".join([*out, ""])


READING = (
    "* Two nodes of each peer (Warren: two gateways and two routers; all is its default but for limits on single clients), the broker or store, and the load generator share the machine's cores.",
    "* Saturation: so many messages are under way at any time that the servers never wait for the generator; a message counts as under way until all members have it.",
    "* Half: a steady stream at half of the peer's own saturation; a message's time runs from when it was due to be sent.",
    "* CPU: user and system time of all server processes divided by delivered messages, when saturated; that of broker or store stands beside it.",
    "* Every member is sent every message of its room, the sender's own too. Warren's messages carry an id and are acknowledged when they are in its log; the others keep nothing unless it is said.",
    "* Load curve: after a warm-up that is not counted, a steady stream at each rate, over the same connections.",
    "* A rate is not sustained if less than 95 % of what was sent meanwhile arrives meanwhile, or p99 is above 2 s; it is tried once more, and then the peer is not asked for more.",
    "* A core each: all services of the peer on one core, the broker or store on another one. The load generator is on neither if there are more; of two cores, it has that of the broker or store.",
    "* Lost, doubled, out of order: counted for each member and sender over all phases. Other: refused, stray, not with all members after 5 s, connections closed.",
    f"* A rate with a * was found while the generator took more than {BUSY:.0%} of a core, so the servers might do more.",
)


def targets_table(targets: Sequence[Row]) -> list[str]:
    """Return the targets as a table, misses first."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    order = {False: 0, None: 1, True: 2}
    lines = [
        f"| {row.what} | {row.target} | {row.found} | {words[row.met]} |"
        for row in sorted(targets, key=lambda row: order[row.met])
    ]
    return ["| what | target | found | |", "| --- | --- | --- | --- |", *lines]


def _section(key: str, title: str, peers: Mapping[str, Figures], day: str) -> list[str]:
    if key in curve_report.CURVES:
        lines = curve_report.section(peers, curve_report.names(day, key))
        return [f"## ({key}) {title}", "", *lines, ""]
    kinds = {"d": _idle, "e": _storm, "g": _members}
    return [f"## ({key}) {title}", "", *kinds.get(key, _load)(peers), ""]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _heads(*names: str) -> list[str]:
    return [_row(*names), _row("---", *("---:" for _ in names[1:]))]


def _shown(value: float | None) -> str:
    return "–" if value is None else figure(value)


def _tolls(one: Figures) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in (one.lost, one.doubled, one.disordered, one.other))


def _notes(peers: Mapping[str, Figures]) -> list[str]:
    return [f"\n{TITLES[key]}: {one.error}" for key, one in peers.items() if one.error]


def _load(peers: Mapping[str, Figures]) -> list[str]:
    lines = _heads(
        "", "delivered/s", "p50 ms", "p99 ms", "max ms", "CPU µs", "broker or store µs", "RSS MiB", "sent", "lost", "doubled", "out of order", "other"
    )  # fmt: skip
    for key, one in peers.items():
        star = " *" if one.generator > BUSY else ""
        figures = (one.p50, one.p99, one.longest, one.cpu, one.store_cpu, one.rss)
        lines.append(
            _row(TITLES[key], _shown(one.rate) + star, *map(_shown, figures), f"{one.sent:,}", *_tolls(one))
        )
    return lines + _notes(peers)


def _idle(peers: Mapping[str, Figures]) -> list[str]:
    lines = _heads(
        "", "KiB a connection, all servers", "gateways alone", "broker or store", "CPU of one core", "RSS MiB"
    )
    for key, one in peers.items():
        store = one.kib.get("rabbit", one.kib.get("redis"))
        share = "–" if one.idle_share is None else f"{one.idle_share:.1%}"
        own = one.kib.get("gateway", one.kib.get("server"))
        lines.append(
            _row(
                TITLES[key],
                _shown(one.kib.get("server")),
                _shown(own),
                "–" if store is None else f"{store:.2f}",
                share,
                _shown(one.rss),
            )
        )
    return lines + _notes(peers)


def _storm(peers: Mapping[str, Figures]) -> list[str]:
    lines = _heads(
        "",
        "half back s",
        "all back s",
        "told of a gap",
        "sent",
        "lost",
        "doubled",
        "out of order",
        "other",
        "what it does for who comes back",
    )
    for key, one in peers.items():
        lines.append(
            _row(
                TITLES[key],
                _shown(one.back_p50),
                _shown(one.back),
                f"{one.unrecovered:,}",
                f"{one.sent:,}",
                *_tolls(one),
                RECOVERS[key],
            )
        )
    return lines + _notes(peers)


def _members(peers: Mapping[str, Figures]) -> list[str]:
    lines = _heads(
        "",
        "paced: CPU µs at the gateway",
        "all servers",
        "p50 ms",
        "p99 ms",
        "burst: CPU µs at the gateway",
        "all servers",
        "lost",
        "doubled",
        "out of order",
        "other",
    )
    for key, one in peers.items():
        cells = []
        for phase in ("pace", "burst"):
            parts = one.parts.get(phase, {})
            cells += [_shown(parts.get("gateway", parts.get("server"))), _shown(parts.get("server"))]
            if phase == "pace":
                cells += [_shown(one.p50), _shown(one.p99)]
        lines.append(_row(TITLES[key], *cells, *_tolls(one)))
    return lines + _notes(peers)


def charts(table: Table) -> list[str]:
    """Return an SVG for each of ``CHARTS``; the load curves have their own."""
    made = []
    for attribute, title, unit in CHARTS:
        groups = []
        for scenario in SCENARIOS:
            there = {TITLES[key]: getattr(one, attribute) for key, one in table.get(scenario.key, {}).items()}
            shown = {name: value for name, value in there.items() if value}
            if shown and scenario.key not in ("d", "e", "g", *curve_report.CURVES):
                groups.append((f"({scenario.key}) {scenario.title.split(':')[0]}", shown))
        made.append(bars(title, unit, groups, list(TITLES.values())))
    return made
