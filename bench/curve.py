"""The curve from idle to saturation: latency and CPU at each rate, for several settings or checkouts in turn,
and their ratios.

    python -m bench.curve                                                            # 500 rooms of 10: 200 to 4,000 a second, then saturated
    python -m bench.curve --variant at-once=WARREN_GATEWAY_BATCH_INTERVAL_MS=0,WARREN_ROUTER_BATCH_INTERVAL_MS=0 --variant default
    python -m bench.curve --variant old=@../older-checkout --variant new --mode notify

A variant is a name, followed after ``=`` by settings (NAME=VALUE) or a checkout (@FOLDER, run with its own
``.venv``), separated by commas. Each variant has its own gateways, routers and RabbitMQ, which stay up
(unless ``--apart``). The load generator (``bench/load``, which needs Go) drives them in turn, and each
variant goes first in one round. A round goes from the lowest rate to saturation and then to half of the rate
found. The output has the medians of the rounds, and for each variant after the first the median of the
rounds' ratios to the first. CPU is in µs for each delivery. The exit code is 1 if a message was lost, doubled
or out of order.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.installation import Installation
from bench.peers.fleet import BUILT, HERE, WARREN

GROUPS = ("rabbit", "gateway", "router")
WORDS = {"rooms": ("-members", "10", "-window", "1000"), "notify": ("-window", "500")}


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the things compared: settings, and whose services run (None: this checkout's)."""

    name: str
    env: dict[str, str] = field(default_factory=dict)
    python: Path | None = None
    counts: tuple[int, int] | None = None  # gateways and routers, if the variants differ in them


@dataclass(frozen=True, slots=True)
class Point:
    """One phase of one round. Latencies in ms, CPU in µs for each delivery and as shares of a core."""

    rate: float  # messages a second
    p50: float
    p99: float
    cpu: dict[str, float]
    share: dict[str, float]

    def figures(self) -> dict[str, float]:
        """Return the compared figures, by name."""
        services = self.cpu["gateway"] + self.cpu["router"]
        return {"rate": self.rate, "p50": self.p50, "p99": self.p99, **self.cpu, "services": services}


def variant_of(text: str) -> Variant:
    """Parse a variant. Raises ValueError."""
    name, _, rest = text.partition("=")
    env, python, counts = {}, None, None
    for word in filter(None, rest.split(",")):
        if word.startswith("@"):
            python = Path(word[1:]).resolve() / ".venv" / "bin" / "python"
            continue
        key, equals, value = word.partition("=")
        if key == "nodes" and equals:  # GATEWAYSxROUTERS
            gateways, _, routers = value.partition("x")
            counts = int(gateways), int(routers)
            continue
        if not equals or not key.startswith("WARREN_"):
            raise ValueError(
                f"{word!r} is neither a setting (WARREN_…=VALUE), nor @FOLDER, nor nodes=GATEWAYSxROUTERS"
            )
        env[key] = value
    return Variant(name, env, python, counts)


def points_of(report: dict[str, Any], rates: Sequence[str]) -> dict[str, Point]:
    """Return a round's points from the load generator's report: by requested rate, then ``full`` and
    ``half``.
    """
    points = {}
    asked = iter(rates)
    for result in report["results"]:
        name = {"saturate": "full", "half": "half"}.get(result["phase"]) or f"{next(asked)}/s"
        latency, rate = result["latency_ms"], result["sent"] / result["seconds"]
        points[name] = Point(
            rate, latency["p50"], latency["p99"], result["cpu_us_per_delivery"], result["cpu_share"]
        )
    return points


def ratios(first: Sequence[Point], other: Sequence[Point]) -> dict[str, float]:
    """Return the medians of the rounds' ratios to the first variant. Other load on the machine affects both
    sides of a ratio.
    """
    pairs = [(one.figures(), two.figures()) for one, two in zip(first, other, strict=True)]
    return {
        name: statistics.median(two[name] / one[name] for one, two in pairs if one[name]) if pairs else 1.0
        for name in first[0].figures()
    }


def _middle(points: Sequence[Point]) -> Point:
    middle = statistics.median
    return Point(
        middle(point.rate for point in points),
        middle(point.p50 for point in points),
        middle(point.p99 for point in points),
        {group: middle(point.cpu[group] for point in points) for group in points[0].cpu},
        {group: middle(point.share[group] for point in points) for group in points[0].share},
    )


def table(found: dict[str, list[dict[str, Point]]]) -> str:
    """Return the table: for each phase, one line for each variant."""
    first = next(iter(found))
    width = max(map(len, found))
    lines = [
        f"{'':>8} {'':{width}} {'messages/s':>10} {'p50':>7} {'p99':>7}   CPU µs a delivery: rabbit gateway router (cores)"
    ]
    for phase in found[first][0]:
        for name, rounds in found.items():
            points = [each[phase] for each in rounds]
            one = _middle(points)
            cpu = " ".join(f"{one.cpu[group]:6.1f} ({one.share[group]:.2f})" for group in GROUPS)
            line = f"{phase:>8} {name:{width}} {one.rate:10,.0f} {one.p50:7.2f} {one.p99:7.1f}   {cpu}"
            if name != first:
                ratio = ratios([each[phase] for each in found[first]], points)
                line += "   × " + " ".join(
                    f"{what} {ratio[what]:.2f}" for what in ("rate", "p50", "p99", "rabbit", "services")
                )
            lines.append(line)
    return "\n".join(lines)


def command_of(installation: Installation, words: Sequence[str]) -> list[str]:
    """Return the command that runs the load generator against an installation."""
    watch = {
        "rabbit": [installation.rabbit.pid],
        "gateway": [process.child.pid for process in installation.gateways],
        "router": [process.child.pid for process in installation.routers],
    }
    urls = ",".join(f"http://{url.removeprefix('ws://').removesuffix('/ws')}" for url in installation.urls)
    command = [str(BUILT / "load"), "-driver", "warren", "-urls", urls, *words]
    command += ["-backend", f"amqp-warren={installation.rabbit.url}"]
    for name, pids in watch.items():
        command += ["-watch", f"{name}={','.join(map(str, pids))}"]
    return command


def report_of(output: str, problems: str) -> dict[str, Any]:
    """Parse the load generator's report. Raises RuntimeError if it could not measure."""
    report: dict[str, Any] = json.loads(output) if output else {"error": problems[-2000:]}
    if report.get("error"):
        raise RuntimeError(f"the load generator could not measure: {report['error']}")
    return report


def build_generator() -> None:
    """Build the load generator."""
    subprocess.run(["go", "build", "-o", str(BUILT / "load"), "."], cwd=HERE.parent / "load", check=True)


def drive(installation: Installation, words: Sequence[str]) -> dict[str, Any]:
    """Run the load generator against an installation; return its report. Raises RuntimeError if it could not
    measure.
    """
    command = command_of(installation, words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    return report_of(done.stdout, done.stderr)


def main() -> int:
    """Measure and print; see the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--variant",
        action="append",
        type=variant_of,
        help="NAME[=SETTING=VALUE,…,@FOLDER]; the first is what others are compared with",
    )
    parser.add_argument("--mode", choices=list(WORDS), default="rooms")
    parser.add_argument(
        "--rates", default="200,1000,2000,4000", help='messages a second, before saturation; "" for none'
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rooms", type=int, default=500, help="with ten members each (notify: so many single users)"
    )
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--routers", type=int, default=2)
    parser.add_argument("--without-full", action="store_true", help="leave out saturation and half of it")
    parser.add_argument("--together", type=int, default=1, help="notify: so many in one AMQP message")
    parser.add_argument(
        "--apart",
        action="store_true",
        help="start each variant anew for each round, so that no other one is up meanwhile",
    )
    parser.add_argument("--json", type=Path, help="write all rounds there")
    arguments = parser.parse_args()
    build_generator()
    variants: list[Variant] = arguments.variant or [Variant("default")]
    rates = [rate for rate in arguments.rates.split(",") if rate]
    phases = [f"pace={rate}:{arguments.seconds}" for rate in rates]
    if not arguments.without_full:
        phases += [f"saturate:{arguments.seconds}", f"half:{arguments.seconds}"]
    words = [
        "-mode",
        arguments.mode,
        "-rooms",
        str(arguments.rooms),
        *WORDS[arguments.mode],
        "-phases",
        ",".join(phases),
    ]
    if arguments.together > 1:
        words += ["-together", str(arguments.together)]
    found: dict[str, list[dict[str, Point]]] = {variant.name: [] for variant in variants}
    reports: list[tuple[str, dict[str, Any]]] = []

    def installed(variant: Variant) -> Installation:
        gateways, routers = variant.counts or (arguments.gateways, arguments.routers)
        return Installation(
            gateways=gateways, routers=routers, env=WARREN | variant.env, python=variant.python
        )

    with ExitStack() as stack:
        running = [] if arguments.apart else [stack.enter_context(installed(variant)) for variant in variants]
        for number in range(arguments.rounds):
            turn = number % len(variants)
            for index in [*range(turn, len(variants)), *range(turn)]:
                variant = variants[index]
                with installed(variant) if arguments.apart else nullcontext(running[index]) as installation:
                    report = drive(installation, [*words, "-prefix", f"bench:{number}-"])
                found[variant.name].append(points_of(report, rates))
                reports.append((variant.name, report))
            load = os.getloadavg()[0]
            print(
                f"after round {number + 1} (load average {load:.1f}):\n{table(found)}",
                file=sys.stderr,
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(reports))
    print(table(found))
    wrong = sum(report["toll"][what] for _, report in reports for what in ("lost", "doubled", "disordered"))
    print(f"lost, doubled or out of order: {wrong}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
