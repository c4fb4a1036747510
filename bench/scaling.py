"""What a message costs as an installation grows: rooms, members, gateways.

    python -m bench.scaling [--axis rooms --axis gateways …] [--repeats 5] [--messages 8000] [--json FILE]

The cores of a router and of gateways handle messages in one process (``bench/core_pipeline.py``): no sockets,
no broker, no event loop. Each point of an axis is built and measured in a separate process, so that no point
inherits memory from another. The order of all points is shuffled for each repeat, and medians are compared
with the first point of the axis. CPU time, with the services' own garbage collection. The command fails if a
message is not delivered to every member, or if the cost of a message rises by more than a fifth from 10 to
100,000 rooms.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.core_pipeline import CorePipeline
from warren.garbage_collection import run_seldom

ROUNDS = 5
LIMIT = 1.2
ROOM_SIZE = 4


@dataclass(frozen=True, slots=True)
class Point:
    """One state of the installation. ``guests``: number of clients; ``spread``: on how many gateways a room
    has members; ``talking``: in how many rooms messages are sent (0: in all).
    """

    axis: str
    x: int
    rooms: int
    size: int
    guests: int
    gateways: int
    spread: int
    talking: int = 0


def points(axis: str) -> list[Point]:
    """Return an axis' points, smallest first."""
    match axis:
        case "rooms":  # of a fixed size, with the same clients
            return [Point(axis, x, x, ROOM_SIZE, 4_000, 4, 2) for x in (10, 100, 1_000, 10_000, 100_000)]
        case "rooms, 100 talk":  # the others exist and are silent
            return [Point(axis, x, x, ROOM_SIZE, 4_000, 4, 2, 100) for x in (100, 1_000, 10_000, 100_000)]
        case "members":  # in rooms of a fixed size: more clients and more rooms
            return [Point(axis, x, max(1, x // 10), 10, x, 4, 2) for x in (100, 1_000, 10_000, 100_000)]
        case "one room":
            return [Point(axis, x, 1, x, x, 4, 4) for x in (10, 100, 1_000, 10_000, 100_000)]
        case "gateways":  # each room on two of them
            return [Point(axis, x, 1_000, ROOM_SIZE, 4_000, x, 2) for x in (1, 2, 5, 10, 20, 50)]
        case "gateways, spread":  # each room on as many as it has members
            return [Point(axis, x, 1_000, 50, 4_000, x, 50) for x in (1, 2, 5, 10, 20, 50)]
        case _:
            raise ValueError(axis)


AXES = ("rooms", "rooms, 100 talk", "members", "one room", "gateways", "gateways, spread")


def measure(point: Point, messages: int) -> dict[str, float]:
    """Build a point's state and return its cost: µs for each message and each delivery (the ACK is one), and
    µs for each JOIN.
    """
    run_seldom()
    began = time.process_time()
    cores = CorePipeline(point.gateways)
    cores.populate(point.rooms, point.size, point.guests, point.spread)
    joins = point.guests + point.rooms * point.size
    join_us = (time.process_time() - began) * 1e6 / joins
    if point.size > 1_000:  # deliveries dominate the cost: keep their number
        messages = max(32, messages * 100 // point.size)
    cores.walk(cores.spoken(2 * messages, point.talking))  # fill histories and caches
    costs = []
    for _ in range(ROUNDS):
        spoken = cores.spoken(messages, point.talking)
        before, began = cores.delivered, time.process_time()
        cores.walk(spoken)
        costs.append((time.process_time() - began) / messages * 1e6)
        arrived = cores.delivered - before
        if arrived != messages * point.size:  # to all but the sender, which gets the ACK
            raise AssertionError(f"{point}: {arrived} instead of {messages * point.size}")
    cost = statistics.median(costs)
    return {"message_us": cost, "delivery_us": cost / point.size, "join_us": join_us}


def in_a_process(point: Point, messages: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "bench.scaling",
        "--point",
        json.dumps(asdict(point)),
        "--messages",
        str(messages),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4_000:])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    """Print the table; return 1 if the cost of a message is not flat over the rooms."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--axis", action="append", choices=AXES, help="only this one (may be repeated)")
    parser.add_argument("--most", type=int, default=100_000, help="leave out points beyond this")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--messages", type=int, default=8_000, help="in each of the five rounds of a point")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(Point(**json.loads(options.point)), options.messages)))
        return 0
    chosen = [one for axis in options.axis or AXES for one in points(axis) if one.x <= options.most]
    found: dict[Point, list[dict[str, float]]] = {one: [] for one in chosen}
    chance = random.Random(options.seed)
    for _ in range(options.repeats):
        for one in chance.sample(chosen, len(chosen)):
            found[one].append(in_a_process(one, options.messages))
    return report(found, options.json)


def report(found: dict[Point, list[dict[str, float]]], path: Path | None) -> int:
    """Print and write the results; return the exit code."""
    rows: list[dict[str, object]] = []
    base: dict[str, float] = {}
    flat = True
    print(
        f"{'axis':<18}{'':>8}{'µs a message':>14}{'µs a delivery':>15}{'ratio':>8}{'least … most':>18}{'µs a JOIN':>11}"
    )
    for point, runs in found.items():
        key = "delivery_us" if point.axis in ("one room", "gateways, spread") else "message_us"
        median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        first = base.setdefault(point.axis, median[key])
        ratio = median[key] / first
        spread = f"{min(run[key] for run in runs):.1f} … {max(run[key] for run in runs):.1f}"
        flat &= point.axis != "rooms" or ratio <= LIMIT
        print(
            f"{point.axis:<18}{point.x:>8}{median['message_us']:>14.1f}{median['delivery_us']:>15.2f}{ratio:>8.2f}"
            f"{spread:>18}{median['join_us']:>11.1f}"
        )
        rows.append({**asdict(point), **median, "ratio": ratio, "runs": runs})
    print(
        f"ratio: of {'µs a delivery for one room and for spread rooms, else of '}µs a message, to the axis' first point"
    )
    if not flat:
        print(f"MISSED: the cost a message rises by more than {LIMIT - 1:.0%} with the number of rooms")
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
