"""Warren and its alternatives in one run on one machine, and the table of Warren's targets.

    python -m bench.peers [--quick] [--scenario b --scenario c …] [--peer warren …] [--repeats 1]
    [--without-alone]

Each scenario is run on each peer in turn, with its servers restarted. Then the benchmarks without a peer
(fanout, tracing, scaling) run, unless scenarios are named. It writes the report (Markdown, JSON, SVG) into bench/results, or, for a quick
or partial run, into .cache/bench/results. `scripts/bench/peers` first downloads and builds what it needs;
bench/README.md says what is measured. Exit code 1: something could not be measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.peers import curve_report, figures, machine, performance_targets, report
from bench.peers.fleet import BUILT, HERE, PEERS, Fleet
from bench.peers.load_curve import sustained
from bench.peers.placement import pinned, placement
from bench.peers.scenario import SCENARIOS, Found, run

RESULTS = HERE.parent / "results"
# The benchmarks without a peer: the arguments of a full and of a quick run.
ALONE = {
    "fanout": ([], ["--messages", "60", "--rounds", "1"]),
    "tracing": ([], ["--messages", "20000"]),
    "scaling": (
        ["--axis", "rooms", "--repeats", "3"],
        ["--axis", "rooms", "--repeats", "1", "--messages", "2000", "--most", "10000"],
    ),
}


def compare(arguments: argparse.Namespace) -> dict[str, dict[str, list[Found]]]:
    """Run the scenarios on the peers and return the results."""
    found: dict[str, dict[str, list[Found]]] = {}
    peers = [peer for peer in PEERS if not arguments.peer or peer.key in arguments.peer]
    stores = {peer.store for peer in peers}
    where = placement(os.sched_getaffinity(0))
    with Fleet(rabbit="rabbit" in stores, redis="redis" in stores) as fleet:
        for scenario in SCENARIOS:
            if arguments.scenario and scenario.key not in arguments.scenario:
                continue
            if scenario.pinned and where is None:
                print(f"({scenario.key}) skipped: it needs two cores, this process may use one", flush=True)
                continue
            for _ in range(arguments.repeats):
                for peer in peers:
                    if scenario.peers and peer.key not in scenario.peers:
                        continue
                    try:
                        with (
                            fleet.serving(peer, scenario.nodes) as serving,
                            pinned(where, serving.watch[peer.store], serving.watch["server"])
                            if scenario.pinned and where is not None
                            else nullcontext(),
                        ):
                            one = run(scenario, peer, serving, quick=arguments.quick)
                    except (RuntimeError, subprocess.TimeoutExpired) as error:
                        one = {"error": str(error)[:500], "toll": dict.fromkeys(TOLL, 0)}
                    found.setdefault(scenario.key, {}).setdefault(peer.key, []).append(one)
                    print(_line(scenario.key, figures.of([one], peer.store), peer.title), flush=True)
    return found


TOLL = ("sent", "lost", "doubled", "disordered", "stray", "refused", "stalled", "closed")


def _line(key: str, one: figures.Figures, title: str) -> str:
    """Return the line that the terminal shows during the run."""
    parts = [f"{one.rate:,.0f}/s" if one.rate else "", f"p99 {one.p99:.1f} ms" if one.p99 is not None else ""]
    parts += [f"CPU {one.cpu:.1f} µs" if one.cpu else "", f"all back in {one.back:.1f} s" if one.back else ""]
    parts += [
        f"{one.kib['server']:.1f} KiB a connection" if one.kib else "",
        f"{one.lost} lost" if one.lost else "",
    ]
    parts += [
        f"{rate:,}/s {point.p50:.1f}/{point.p99:.1f} ms" for rate, point in sustained(one.curve).items()
    ]
    parts += [f"{rate:,}/s not sustained" for rate, point in one.curve.items() if not point.sustained]
    parts += [f"ERROR {one.error}" if one.error else ""]
    return f"({key}) {title:28} {', '.join(part for part in parts if part)}"


def measured_alone(*, quick: bool) -> dict[str, Any]:
    """Run the benchmarks without a peer and return their results by name. One that fails is left out, with a
    message.
    """
    found = {}
    for name, words in ALONE.items():
        path = BUILT / f"{name}.json"
        path.unlink(missing_ok=True)
        print(f"bench.{name} …", flush=True)
        command = [sys.executable, "-m", f"bench.{name}", *words[quick], "--json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        if path.is_file():
            found[name] = json.loads(path.read_text())
        else:
            print(f"bench.{name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
    return found


def main() -> int:
    """Measure, print and write; see the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and short phases")
    parser.add_argument("--scenario", action="append", choices=[scenario.key for scenario in SCENARIOS])
    parser.add_argument("--peer", action="append", choices=[peer.key for peer in PEERS])
    parser.add_argument(
        "--repeats", type=int, default=1, help="of each scenario on each peer; medians are shown"
    )
    parser.add_argument(
        "--without-alone", action="store_true", help="leave out the benches that have no peer"
    )
    arguments = parser.parse_args()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # so that everything that was started is stopped
    try:
        found = compare(arguments)
        with_alone = not (arguments.without_alone or arguments.scenario)
        alone = measured_alone(quick=arguments.quick) if with_alone else {}
    except KeyboardInterrupt:
        return 130
    stores = {peer.key: peer.store for peer in PEERS}
    table = {
        key: {peer: figures.of(runs, stores[peer]) for peer, runs in peers.items()}
        for key, peers in found.items()
    }
    judged = performance_targets.rows(table, alone)
    part = arguments.quick or arguments.scenario or arguments.peer or arguments.without_alone
    write(BUILT / "results" if part else RESULTS, found, table, alone, judged, quick=arguments.quick)
    failed = [one.error for peers in table.values() for one in peers.values() if one.error]
    return 1 if failed or (with_alone and len(alone) < len(ALONE)) else 0


def write(
    folder: Path,
    found: dict[str, dict[str, list[Found]]],
    table: performance_targets.Table,
    alone: dict[str, Any],
    judged: list[performance_targets.Row],
    *,
    quick: bool,
) -> None:
    """Write the report's files and print its tables."""
    folder.mkdir(parents=True, exist_ok=True)
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    described = machine.described()
    names = [f"{day}-{attribute}.svg" for attribute, _, _ in report.CHARTS]
    for name, text in zip(names, report.charts(table), strict=True):
        (folder / name).write_text(text)
    for key in curve_report.CURVES:
        if key in table:
            for name, text in curve_report.charts(day, key, table[key]).items():
                (folder / name).write_text(text)
    text = report.markdown(table, judged, described, day=day, quick=quick, charts=names)
    (folder / f"{day}.md").write_text(text)
    whole = {
        "machine": described,
        "quick": quick,
        "targets": [asdict(row) for row in judged],
        "curves": {
            key: {
                peer: {rate: asdict(point) for rate, point in one.curve.items()}
                for peer, one in table[key].items()
            }
            for key in curve_report.CURVES
            if key in table
        },
        "found": found,
        "alone": alone,
    }
    (folder / f"{day}.json").write_text(json.dumps(whole, indent=1) + "\n")
    print(f"\n{text}\nwritten to {folder.relative_to(HERE.parents[1])}/{day}.md")


if __name__ == "__main__":
    sys.exit(main())
