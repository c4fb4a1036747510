"""Warren's performance targets, each judged by the measurements of this run. Pure: figures in, rows out.

A target that was not measured is neither met nor missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.peers.figures import Figures

Table = Mapping[str, Mapping[str, Figures]]  # scenario ▶ peer ▶ figures
DELIVERIES = 10  # of one message in scenario b
IDLE_KIB = 14.0
GROWTH = 1.2
TRACING = 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """One target; ``met`` None: not measured in this run."""

    what: str
    target: str
    found: str
    met: bool | None


def rows(table: Table, alone: Mapping[str, Any]) -> list[Row]:
    """Return all rows. ``alone`` has the results of the benchmarks fanout, tracing and scaling, by name."""
    return [
        *_throughput(table),
        *_bare_send(alone.get("fanout")),
        *_against_centrifugo(table),
        *_latency(table),
        _idle(table),
        _tracing(alone.get("tracing"), table),
        _scaling(alone.get("scaling")),
    ]


def _figures(table: Table, scenario: str, peer: str) -> Figures:
    return table.get(scenario, {}).get(peer, Figures())


def _throughput(table: Table) -> list[Row]:
    ours, theirs = _figures(table, "b", "warren"), _figures(table, "b", "python-socketio")
    what = "saturated, many small rooms, against python-socketio + RabbitMQ"
    rate = cost = Row(what, "", "not measured", None)
    if ours.rate and theirs.rate:
        ratio = ours.rate / theirs.rate
        rate = Row(what, "", f"{ratio:.1f} × ({ours.rate:,.0f} against {theirs.rate:,.0f})", ratio >= 20)
    if ours.cpu and theirs.cpu:
        ratio = theirs.cpu / ours.cpu
        cost = Row(what, "", f"{ratio:.1f} × less ({ours.cpu:.1f} against {theirs.cpu:.0f} µs)", ratio >= 10)
    return [
        Row(f"{what}: delivered messages a second", "at least 20 ×", rate.found, rate.met),
        Row(f"{what}: CPU of the servers a delivery", "at least 10 × less", cost.found, cost.met),
    ]


def _bare_send(fanout: Mapping[str, float] | None) -> list[Row]:
    what = "fan-out CPU a delivery at a gateway, against a bare send() of the same bytes on the same number of sockets"
    if fanout is None:
        return [Row(what, "at most 1.25 ×; less than 1 × in a burst", "not measured", None)]
    base = fanout["loop"]
    calm, burst = fanout["one at a time"] / base, fanout["burst"] / base
    return [
        Row(f"{what}: one message at a time", "at most 1.25 ×", f"{calm:.2f} × ({fanout['one at a time']:.2f} µs)", calm <= 1.25),
        Row(f"{what}: in a burst", "less than 1 ×", f"{burst:.2f} × ({fanout['burst']:.2f} µs)", burst < 1),
    ]  # fmt: skip


def _against_centrifugo(table: Table) -> list[Row]:
    ours, theirs = _figures(table, "g", "warren").parts, _figures(table, "g", "centrifugo").parts
    found = []
    for phase, name, target, limit, share in (
        ("pace", "paced, 20 messages a second", "at most half", None, 0.5),
        ("burst", "500 messages at once", "less, and under 1 µs", 1.0, 1.0),
    ):
        what = f"fan-out to 2,000 members, {name}: CPU a delivery at the gateway, against Centrifugo + Redis"
        mine, other = ours.get(phase, {}).get("gateway"), theirs.get(phase, {}).get("server")
        if mine is None or other is None:
            found.append(Row(what, target, "not measured", None))
            continue
        met = mine <= other * share and (limit is None or mine < limit)
        routers = ours[phase].get("router", 0.0)
        found.append(
            Row(what, target, f"{mine:.2f} against {other:.2f} µs (and {routers:.2f} µs of the router)", met)
        )
    return found


def _latency(table: Table) -> list[Row]:
    found = []
    for scenario, name in (("a1", "fan-out to 1,000"), ("a5", "fan-out to 5,000"), ("b", "many small rooms"), ("c", "chat"), ("f", "notifications")):  # fmt: skip
        what = f"p99 at half of its own saturation, log on, against Centrifugo + Redis: {name}"
        ours, theirs = _figures(table, scenario, "warren"), _figures(table, scenario, "centrifugo")
        if ours.p99 is None or theirs.p99 is None:
            found.append(Row(what, "at most 2 ×", "not measured", None))
            continue
        said = f"{ours.p99:.1f} against {theirs.p99:.1f} ms"
        found.append(Row(what, "at most 2 ×", said, ours.p99 <= 2 * theirs.p99))
    return found


def _idle(table: Table) -> Row:
    ours, theirs = _figures(table, "d", "warren").kib, _figures(table, "d", "centrifugo").kib
    what, target = "idle connection at a gateway, RSS", f"at most {IDLE_KIB:.0f} KiB"
    if "gateway" not in ours:
        return Row(what, target, "not measured", None)
    beside = f"; Centrifugo {theirs['server']:.1f} KiB" if "server" in theirs else ""
    found = f"{ours['gateway']:.1f} KiB (and {ours.get('router', 0.0):.1f} KiB in the routers){beside}"
    return Row(what, target, found, ours["gateway"] <= IDLE_KIB)


def _tracing(tracing: Mapping[str, float] | None, table: Table) -> Row:
    what, target = (
        "tracing off, or on and unsampled, against no tracing code: of a message's CPU",
        "at most 2 %",
    )
    cpu = _figures(table, "b", "warren").cpu
    if tracing is None or not cpu:
        return Row(what, target, "not measured", None)
    worst = max(cost for name, cost in tracing.items() if name != "on, sampled")
    share = worst / (cpu * DELIVERIES)
    said = f"{share:.1%} (at most {worst:.2f} µs of a message's {cpu * DELIVERIES:.0f} µs in scenario b)"
    return Row(what, target, said, share <= TRACING)


def _scaling(scaling: list[Mapping[str, Any]] | None) -> Row:
    what, target = "scaling: cost of a message from 10 to 100,000 rooms", "flat within 20 %"
    ratios = {row["x"]: row["ratio"] for row in scaling or () if row["axis"] == "rooms"}
    if not ratios:
        return Row(what, target, "not measured", None)
    most = max(ratios)
    worst = max(ratios.values())
    return Row(
        what, target, f"{worst:.2f} × at most (up to {most:,} rooms)", worst <= GROWTH and most >= 100_000
    )
