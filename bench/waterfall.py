"""Where a message's time goes: its way from client to client in stretches, at each rate.

    python -m bench.waterfall                                   # 500 rooms of 10: 100 to 8,000 messages a second
    python -m bench.waterfall --rates 500,2000 --seconds 10 --json waterfall.json

Two gateways, two routers and a private RabbitMQ run on this machine. The load generator (``bench/load``, which
needs Go) sends at each rate in turn. Before and after each phase, all services' ``/metrics`` are read; what
their histograms have gained is that phase's. Two tables are printed in Markdown: the stretches of the way,
whose means add up to the load generator's own mean, and the measured hops. Where a stretch is not measured it
is a difference of means (`STRETCHES` says of which). Hops that are counted once a batch weigh each batch the
same, so what large batches took more shows in a difference. It compares nothing. The exit code is 1 if a
message was lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import IO, Any

from bench.curve import WORDS, build_generator, command_of, report_of
from bench.installation import Installation
from bench.peers.fleet import WARREN

RATES = "100,500,1000,2000,4000,8000"
# In the order of the way; what is counted. docs/performance.md shows what each of them spans.
HOPS = {
    ("gateway", "uplink"): "each message",
    ("gateway", "confirm"): "each batch",
    ("router", "log"): "each batch",
    ("router", "process"): "each batch",
    ("router", "queue"): "the oldest of each batch",
    ("router", "egress_wait"): "each shard's part of a batch",
    ("router", "egress"): "each batch",
    ("gateway", "end_to_end"): "each message",
    ("gateway", "downlink"): "each batch",
}
BATCHES = {
    ("gateway", "uplink"): "from a gateway to a shard",
    ("router", "process"): "in an entry of the log",
    ("router", "egress"): "from a router to a gateway",
    ("gateway", "downlink"): "given out by a gateway",
}
TITLES = {"gateway": "gateways", "router": "routers", "rabbit": "RabbitMQ's threads"}
COUNTED = ("sent", "refused", "expected", "delivered", "lost", "doubled", "disordered", "closed")
_SAMPLE = re.compile(
    r"warren_(gateway|router)_(hop_seconds|batch_size)_(bucket|sum|count)\{([^}]*)\} ([^ ]+)"
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(slots=True)
class Distribution:
    """What a histogram has counted: its sum, its count, and how many are at most as large as each bound."""

    sum: float = 0.0
    count: float = 0.0
    below: dict[float, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Return the mean; NaN of nothing."""
        return self.sum / self.count if self.count else nan

    def quantile(self, q: float) -> float:
        """Return a quantile, interpolated within its bucket; the largest bound if it is above that, and NaN
        of nothing.
        """
        wanted, bounds = q * self.count, sorted(self.below)
        if not wanted:
            return nan
        for low, high in pairwise([0.0, *bounds]):
            before, until = self.below.get(low, 0.0), self.below[high]
            if until >= wanted:
                return (
                    low if high == float("inf") else low + (high - low) * (wanted - before) / (until - before)
                )
        return nan

    def add(self, other: Distribution, times: float = 1.0) -> None:
        """Add what another histogram of the same kind has counted, or (-1) take it away."""
        self.sum += times * other.sum
        self.count += times * other.count
        for bound, count in other.below.items():
            self.below[bound] = self.below.get(bound, 0.0) + times * count


Scrape = dict[tuple[str, str, str], Distribution]  # (service, hop_seconds or batch_size, hop)


def distributions(exposition: str) -> Scrape:
    """Return the histograms of an exposition that are looked at here."""
    found: Scrape = {}
    for line in exposition.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None:
            continue
        service, name, part, words, text = sample.groups()
        labels = dict(_LABEL.findall(words))
        one = found.setdefault((service, name, labels["hop"]), Distribution())
        if part == "bucket":
            one.below[float(labels["le"])] = float(text)
        else:
            setattr(one, part, float(text))
    return found


def together(scrapes: Iterable[Scrape], less: Scrape | None = None) -> Scrape:
    """Return what several processes have counted in all, without what they had counted before."""
    found: Scrape = {}
    for times, scrape in [*((1.0, each) for each in scrapes), (-1.0, less or {})]:
        for key, one in scrape.items():
            found.setdefault(key, Distribution()).add(one, times)
    return found


def waited_s(pids: Iterable[int], proc: Path = Path("/proc")) -> float:
    """Return for how many seconds all threads of these processes have waited for a core."""
    files = [file for pid in pids for file in (proc / str(pid) / "task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9


@dataclass(frozen=True, slots=True)
class Reading:
    """What the services have counted by now, and for how long each group of them has waited for a core."""

    at: float = 0.0
    scrape: Scrape = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)

    def since(self, before: Reading) -> Reading:
        """Return what has come since an earlier one; waits as shares of that time."""
        seconds = self.at - before.at
        waited = {name: (value - before.waited[name]) / seconds for name, value in self.waited.items()}
        return Reading(seconds, together([self.scrape], before.scrape), waited)


def reader(ports: Sequence[int], watched: dict[str, list[int]]) -> Callable[[], Reading]:
    """Return a function that reads /metrics on these ports, all at once."""

    def read(port: int) -> Scrape:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return distributions(answer.read().decode())

    def look() -> Reading:
        with ThreadPoolExecutor(len(ports)) as pool:
            scrapes = pool.map(read, ports)
            waited = {name: waited_s(pids) for name, pids in watched.items()}
            return Reading(time.monotonic(), together(scrapes), waited)

    return look


@dataclass(frozen=True, slots=True)
class Phase:
    """One rate: what the load generator reports, and what the services counted meanwhile."""

    rate: str
    result: dict[str, Any]
    reading: Reading

    def hop(self, service: str, hop: str) -> Distribution:
        """Return a hop's seconds."""
        return self.reading.scrape.get((service, "hop_seconds", hop), Distribution())

    def batch(self, service: str, hop: str) -> float:
        """Return the mean count of a hop's batches."""
        return self.reading.scrape.get((service, "batch_size", hop), Distribution()).mean

    def ms(self, service: str, hop: str) -> float:
        """Return a hop's mean in milliseconds."""
        return self.hop(service, hop).mean * 1e3


def _uplink_wait(phase: Phase) -> float:
    return phase.ms("gateway", "uplink") - phase.ms("gateway", "confirm")


def _return(phase: Phase) -> float:
    measured = (phase.ms("router", hop) for hop in ("log", "process", "egress_wait"))
    return phase.ms("gateway", "end_to_end") - _uplink_wait(phase) - sum(measured)


def _outside(phase: Phase) -> float:
    taken: float = phase.result["latency_ms"]["mean"]
    return taken - phase.ms("gateway", "end_to_end")


# Name ▶ mean in ms. Their sum is the load generator's mean.
STRETCHES: dict[str, Callable[[Phase], float]] = {
    "gateway: waits for its batch (uplink − confirm)": _uplink_wait,
    "broker: to the log and to the router (log)": lambda phase: phase.ms("router", "log"),
    "router: handles it (process)": lambda phase: phase.ms("router", "process"),
    "router: waits for its batch (egress_wait)": lambda phase: phase.ms("router", "egress_wait"),
    "router ▶ broker ▶ gateway (end_to_end − all above)": _return,
    "clients, sockets, writing (generator − end_to_end)": _outside,
}


def _number(value: float, digits: int) -> str:
    return "–" if isnan(value) else f"{value:.{digits}f}"


def _row(title: str, cells: Iterable[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def _head(first: str, phases: Sequence[Phase]) -> list[str]:
    return [_row(first, (f"{int(each.rate):,}/s" for each in phases)), _row("---", ("---:" for _ in phases))]


def waterfall(phases: Sequence[Phase]) -> str:
    """Return the table of the stretches."""
    lines = _head("mean, ms", phases)
    for title, stretch in STRETCHES.items():
        lines.append(_row(title, (_number(stretch(each), 2) for each in phases)))
    times = [each.result["latency_ms"] for each in phases]
    lines.append(_row("**client ▶ client** (generator)", (f"**{each['mean']:.2f}**" for each in times)))
    lines.append(_row("its median; p99", (f"{each['p50']:.2f}; {each['p99']:.1f}" for each in times)))
    sent = (f"{each.result['sent'] / each.result['seconds']:,.0f}" for each in phases)
    lines.append(_row("messages a second", sent))
    for group in ("gateway", "router", "rabbit"):
        shares = (
            f"{each.result['cpu_share'][group]:.2f}; {each.reading.waited[group]:.2f}" for each in phases
        )
        lines.append(_row(f"cores: {TITLES[group]} use; wait for", shares))
    own = (f"{each.result['generator_cpu_share']:.2f}" for each in phases)
    lines.append(_row("cores: the load generator uses", own))
    return "\n".join(lines)


def hops(phases: Sequence[Phase]) -> str:
    """Return the table of the measured hops and batches."""
    lines = _head("hop: mean; median; p99, ms", phases)
    for (service, hop), meaning in HOPS.items():
        found = (each.hop(service, hop) for each in phases)
        cells = (
            "; ".join(
                _number(seconds * 1e3, digits)
                for seconds, digits in ((one.mean, 2), (one.quantile(0.5), 2), (one.quantile(0.99), 1))
            )
            for one in found
        )
        lines.append(_row(f"`{hop}`, {meaning}", cells))
    for (service, hop), meaning in BATCHES.items():
        cells = (_number(each.batch(service, hop), 1) for each in phases)
        lines.append(_row(f"messages in a batch {meaning}", cells))
    return "\n".join(lines)


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def figures(phase: Phase) -> dict[str, Any]:
    """Return a phase for ``--json``; times in ms, None where nothing was counted."""
    return {
        "rate": int(phase.rate),
        "generator": phase.result,
        "stretches": {title: _known(stretch(phase)) for title, stretch in STRETCHES.items()},
        "hops": {
            f"{service} {hop}": {
                "count": phase.hop(service, hop).count,
                "mean": _known(phase.ms(service, hop)),
                "p50": _known(phase.hop(service, hop).quantile(0.5) * 1e3),
                "p99": _known(phase.hop(service, hop).quantile(0.99) * 1e3),
            }
            for service, hop in HOPS
        },
        "batches": {f"{service} {hop}": _known(phase.batch(service, hop)) for service, hop in BATCHES},
        "waited_for_a_core": phase.reading.waited,
    }


def follow(marks: Iterable[str], answers: IO[str], look: Callable[[], Reading]) -> tuple[list[Reading], str]:
    """Read what the load generator says until it ends: look at each mark, and answer each end. Return what
    was counted between the marks, phase by phase, and whatever else it said.
    """
    before = Reading()
    found: list[Reading] = []
    others: list[str] = []
    for line in marks:
        match line.strip():
            case "begin":
                before = look()
            case "end":
                found.append(look().since(before))
                answers.write("\n")
                answers.flush()
            case _:
                others.append(line)
    return found, "".join(others)


def drive(
    installation: Installation, words: Sequence[str], timeout_s: float
) -> tuple[dict[str, Any], list[Reading]]:
    """Run the load generator; return its report, and what the services counted in each phase. Raises
    RuntimeError if it could not measure.
    """
    services = {"gateway": installation.gateways, "router": installation.routers}
    watched = {name: [each.child.pid for each in processes] for name, processes in services.items()}
    watched["rabbit"] = [installation.rabbit.pid]
    ports = [each.internal_port for each in (*installation.gateways, *installation.routers)]
    look = reader(ports, watched)
    command = [*command_of(installation, words), "-marks"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        timer = threading.Timer(timeout_s, child.kill)
        timer.start()
        try:
            # Its report comes at the end, is a few kilobytes and fits into the pipe.
            found, problems = follow(child.stderr, child.stdin, look)
            output = child.stdout.read()
        except BaseException:
            child.kill()
            raise
        finally:
            timer.cancel()
    return report_of(output, problems), found


def rates_of(text: str) -> list[str]:
    """Parse ``--rates``. Raises ValueError."""
    rates = text.split(",")
    if not all(rate.isdecimal() and int(rate) for rate in rates):
        raise ValueError(f"{text!r} is no list of messages a second, like 100,2000")
    return rates


def main() -> int:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=rates_of, default=RATES, help="messages a second")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each rate")
    parser.add_argument("--rooms", type=int, default=500, help="with ten members each")
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--routers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures there")
    arguments = parser.parse_args()
    build_generator()
    rates: list[str] = arguments.rates
    phases = ",".join(f"pace={rate}:{arguments.seconds}" for rate in rates)
    words = ["-mode", "rooms", "-rooms", str(arguments.rooms), *WORDS["rooms"], "-phases", phases]
    load = os.getloadavg()[0]
    with Installation(gateways=arguments.gateways, routers=arguments.routers, env=WARREN) as installation:
        report, readings = drive(installation, words, 120 + len(rates) * (arguments.seconds + 60))
    found = [Phase(*each) for each in zip(rates, report["results"], readings, strict=True)]
    print(waterfall(found), hops(found), sep="\n\n")
    if arguments.json:
        arguments.json.write_text(json.dumps([figures(each) for each in found], indent=1))
    toll = report["toll"]
    print(f"\nload average before: {load:.1f}, after: {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name}: {toll[name]:,}" for name in COUNTED))
    return int(any(toll[what] for what in ("lost", "doubled", "disordered")))


if __name__ == "__main__":
    sys.exit(main())
