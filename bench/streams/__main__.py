"""Streams over AMQP 0.9.1 as the entry point: what a cluster of three nodes keeps and reports when it is
killed, frozen, short of memory or disk, full, emptied or queried.

python -m bench.streams [--root ROOT] [--only NAME,…] [--seconds N] [--json FILE] [--list]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench.streams import alarms, credit, deletion, kills, offsets_by_time, placement, power, retention
from bench.streams.stage import Stage
from rabbit_nodes.cluster import RabbitCluster
from rabbit_nodes.debian import RabbitRoot

SCENARIOS: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "asked": retention.asked,
    "behind": retention.behind,
    "deleted": deletion.deleted,
    "missing": deletion.missing,
    "alarms": alarms.alarms,
    "credit": credit.credit,
    "placed": placement.placement,
    "node-down": placement.node_down,
    "times": offsets_by_time.by_time,
    "large": offsets_by_time.large,
    "power": power.tails_lost,
    "killed": kills.node_killed,
    "frozen": kills.leader_frozen,
    "all-killed": kills.all_killed,
}


async def run(stage: Stage, names: list[str]) -> None:
    stage.version = (await stage.ctl("version")).strip()
    print(f"RabbitMQ {stage.version}, {len(stage.urls)} nodes", flush=True)
    for name in names:
        print(f"\n── {name} ({time.strftime('%H:%M:%S')})", flush=True)
        try:
            await SCENARIOS[name](stage)
        # if a scenario aborts, the others still run
        except Exception as error:  # noqa: BLE001
            stage.good = False
            stage.say(
                f"{name} FAILED: {type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__)[1:4])}"
            )
            try:
                await stage.heal()
            except RuntimeError as broken:
                stage.say(f"the cluster is not one again, so nothing more is run: {broken}")
                return


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root",
        type=lambda path: RabbitRoot(Path(path)),
        help="another RabbitMQ: what scripts/dev/fetch-rabbitmq prints (as root)",
    )
    parser.add_argument("--only", help="these scenarios, by name, in this order")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="how long the load of a scenario lasts, about"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    options = parser.parse_args()
    if options.list:
        for name, scenario in SCENARIOS.items():
            print(f"{name:<12}{(scenario.__doc__ or '').splitlines()[0]}")
        return 0
    names = options.only.split(",") if options.only else list(SCENARIOS)
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"no scenario {unknown[0]!r}; --list names them")
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    with RabbitCluster(root=options.root) as cluster:
        stage = Stage(cluster, options.seconds)
        uvloop.run(run(stage, names))
    if options.json:
        options.json.write_text(
            json.dumps({"version": stage.version, "good": stage.good, "found": stage.found}, indent=1) + "\n"
        )
    return 0 if stage.good else 1


if __name__ == "__main__":
    sys.exit(main())
