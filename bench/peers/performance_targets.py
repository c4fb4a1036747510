"""Warren's performance targets, each judged by the measurements of this run. Pure: figures in, rows out.

A target that was not measured is neither met nor missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.peers.figures import Figures
from bench.peers.load_curve import sustained

Table = Mapping[str, Mapping[str, Figures]]  # scenario ▶ peer ▶ figures
DELIVERIES = 10  # of one message in scenario b
IDLE_KIB = 14.0
GROWTH = 1.2
TRACING = 0.02
RATE_RATIO, CPU_RATIO, CENTRIFUGO_RATIO = 20, 15, 0.8
BARE_SEND = 1.1
STORM_S = 0.5  # more than Centrifugo
BATCHES = 4  # × Centrifugo's rate one by one
# The load curve (scenario l): messages a second ▶ p50 and p99 in ms. At the first two, python-socketio must not
# be faster either.
CURVE_MS = {100: (2, 6), 500: (2, 6), 1_000: (3, 10), 2_000: (5, 20), 4_000: (10, 40)}
AGAINST_SOCKETIO = (100, 500)
# … ▶ CPU in µs a delivery of the services, and of the broker
CURVE_US = {100: (110, 90), 1_000: (35, 20), 4_000: (14, 3)}


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
        *_curve_latency(table),
        *_curve_cpu(table),
        *_throughput(table),
        *_bare_send(alone.get("fanout")),
        *_against_centrifugo(table),
        *_latency(table),
        *_notifications(table),
        _storm(table),
        _idle(table),
        _tracing(alone.get("tracing"), table),
        _scaling(alone.get("scaling")),
    ]


def _figures(table: Table, scenario: str, peer: str) -> Figures:
    return table.get(scenario, {}).get(peer, Figures())


def _curve_latency(table: Table) -> list[Row]:
    ours, theirs = _figures(table, "l", "warren").curve, _figures(table, "l", "python-socketio").curve
    found = []
    for rate, (p50, p99) in CURVE_MS.items():
        compared = rate in AGAINST_SOCKETIO
        what = f"load curve, {rate:,} messages a second in 500 rooms of 10: p50 / p99"
        target = f"at most {p50} / {p99} ms{', and not above those of python-socketio + RabbitMQ' if compared else ''}"
        if not ours:
            found.append(Row(what, target, "not measured", None))
            continue
        mine, other = sustained(ours).get(rate), sustained(theirs).get(rate)
        if mine is None:
            found.append(Row(what, target, "not sustained", False))
            continue
        said = f"{mine.p50:.1f} / {mine.p99:.1f} ms"
        met: bool | None = mine.p50 <= p50 and mine.p99 <= p99
        if compared and other is not None:
            said += f" against {other.p50:.1f} / {other.p99:.1f} ms"
            met = met and mine.p50 <= other.p50 and mine.p99 <= other.p99
        elif compared and theirs:
            said += ", which python-socketio + RabbitMQ does not sustain"
        elif compared and met:
            met = None  # half of the target was not measured
        found.append(Row(what, target, said, met))
    return found


def _curve_cpu(table: Table) -> list[Row]:
    ours = _figures(table, "l", "warren").curve
    found = []
    for rate, limits in CURVE_US.items():
        point = sustained(ours).get(rate)
        used = (point.cpu, point.store_cpu) if point is not None else (None, None)
        for name, limit, cpu in zip(("services", "broker"), limits, used, strict=True):
            what = f"load curve, {rate:,} messages a second in 500 rooms of 10: CPU a delivery, {name}"
            target = f"at most {limit} µs"
            if cpu is None:
                said, met = ("not sustained", False) if ours else ("not measured", None)
                found.append(Row(what, target, said, met))
            else:
                found.append(Row(what, target, f"{cpu:.1f} µs", cpu <= limit))
    return found


def _throughput(table: Table) -> list[Row]:
    ours = _figures(table, "b", "warren")
    theirs, fastest = _figures(table, "b", "python-socketio"), _figures(table, "b", "centrifugo")
    what = "saturated, many small rooms, against python-socketio + RabbitMQ"
    cost = Row(f"{what}: CPU of the servers a delivery", f"at least {CPU_RATIO} × less", "not measured", None)
    if ours.cpu and theirs.cpu:
        ratio = theirs.cpu / ours.cpu
        said = f"{ratio:.1f} × less ({ours.cpu:.1f} against {theirs.cpu:.0f} µs)"
        cost = replace(cost, found=said, met=ratio >= CPU_RATIO)
    rate = "delivered messages a second"
    return [
        _rate(f"{what}: {rate}", ours.rate, theirs.rate, RATE_RATIO),
        cost,
        _rate(
            f"saturated, many small rooms, against Centrifugo + Redis: {rate}",
            ours.rate,
            fastest.rate,
            CENTRIFUGO_RATIO,
        ),
    ]


def _rate(what: str, ours: float | None, theirs: float | None, least: float) -> Row:
    """Return the row for a rate that has to be so many times another one."""
    target = f"at least {least:g} ×"
    if not ours or not theirs:
        return Row(what, target, "not measured", None)
    ratio = ours / theirs
    shown = f"{ratio:.1f}" if least >= 10 else f"{ratio:.2f}"
    return Row(what, target, f"{shown} × ({ours:,.0f} against {theirs:,.0f})", ratio >= least)


def _notifications(table: Table) -> list[Row]:
    single, batched = _figures(table, "f", "warren"), _figures(table, "f50", "warren")
    theirs = _figures(table, "f", "centrifugo")
    what = "a backend's notifications, saturated, against Centrifugo + Redis one by one over HTTP"
    p99 = Row(
        "p99 at half of its own saturation, log on, against Centrifugo + Redis: notifications in batches of 50",
        "at most 2 ×",
        "not measured",
        None,
    )
    if batched.p99 is not None and theirs.p99 is not None:
        said = f"{batched.p99:.1f} against {theirs.p99:.1f} ms"
        p99 = replace(p99, found=said, met=batched.p99 <= 2 * theirs.p99)
    return [
        _rate(f"{what}: one by one", single.rate, theirs.rate, 1),
        _rate(f"{what}: in batches of 50", batched.rate, theirs.rate, BATCHES),
        p99,
    ]


def _storm(table: Table) -> Row:
    ours, theirs = _figures(table, "e", "warren").back, _figures(table, "e", "centrifugo").back
    what, target = "a storm: until all are back", f"at most {STORM_S:g} s after Centrifugo + Redis"
    if ours is None or theirs is None:
        return Row(what, target, "not measured", None)
    return Row(what, target, f"{ours:.1f} against {theirs:.1f} s", ours <= theirs + STORM_S)


def _bare_send(fanout: Mapping[str, float] | None) -> list[Row]:
    what = "fan-out CPU a delivery at a gateway, against a bare send() of the same bytes on the same number of sockets"
    if fanout is None:
        return [Row(what, f"at most {BARE_SEND} ×; less than 1 × in a burst", "not measured", None)]
    base = fanout["loop"]
    calm, burst = fanout["one at a time"] / base, fanout["burst"] / base
    return [
        Row(f"{what}: one message at a time", f"at most {BARE_SEND} ×", f"{calm:.2f} × ({fanout['one at a time']:.2f} µs)", calm <= BARE_SEND),
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
