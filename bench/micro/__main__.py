"""What each part of a message's path costs by itself.

    python -m bench.micro [--only NAME] [--rigorous] [-o FILE] [pyperf's own options]

Each benchmark does one thing once, in separate worker processes (pyperf), and its CPU time is printed as mean
and standard deviation. To see the effect of a change, use ``-o before.json`` and ``-o after.json``, then
``python -m pyperf compare_to before.json after.json``. The defaults are quick and detect a change of a fifth;
``--rigorous`` detects a few hundredths.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import pyperf

from bench.micro import gateway_side, router_side, shared_side

BENCHES = shared_side.BENCHES | gateway_side.BENCHES | router_side.BENCHES


def pass_on(command: list[str], options: argparse.Namespace) -> None:
    """Tell the worker processes which benchmarks were selected: they count them."""
    if options.only:
        command += ["--only", options.only]


def cpu_s(loops: int, run: Callable[[], object]) -> float:
    """Return the CPU seconds of so many runs. Wall time would include the machine's other load."""
    began = time.process_time()
    for _ in range(loops):
        run()
    return time.process_time() - began


def main() -> None:
    """Run the benchmarks whose names contain the selection."""
    runner = pyperf.Runner(
        processes=2,
        values=3,
        warmups=1,
        min_time=0.05,
        program_args=("-m", "bench.micro"),
        add_cmdline_args=pass_on,
    )
    runner.argparser.add_argument("--only", default="", metavar="NAME", help="those whose name has this")
    options = runner.parse_args()
    chosen = {name: make for name, make in BENCHES.items() if options.only in name}
    if not chosen:
        sys.exit(f"no bench has {options.only} in its name; there are: {', '.join(BENCHES)}")
    for name, make in chosen.items():
        runner.bench_time_func(name, cpu_s, make())


if __name__ == "__main__":
    main()
