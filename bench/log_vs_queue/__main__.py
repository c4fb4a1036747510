"""Does the log as the entry point pay off? The same message through two bare paths on one RabbitMQ, in turn.

    python -m bench.log_vs_queue [--rounds 5] [--seconds 10] [--rates 100 500] [--shards 4] [--old FOLDER]

Both paths have the same gateways (this process: one batch at a time for each shard, confirmed) and a router
in a separate process (``bench/log_vs_queue/paths.py``). They take turns, and the order is reversed in every
second round, so that other load on the machine affects both. ``--old FOLDER`` also compares complete
installations: this tree, and FOLDER (another checkout with a ``.venv``), each with two gateways, two routers
and its own RabbitMQ, driven over WebSockets, in turn as well. A message is timed from its sender to its
member. The broker's CPU is all that its process used in a round, divided by the number of messages. The
output has the medians over the rounds, and the medians of the rounds' ratios. The command fails if a ratio is
above its target, or a message is lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from bench.log_vs_queue.checkouts import Checkout
from bench.log_vs_queue.paths import MEMBERS, PATHS, SENDERS, PathTopology, batch
from bench.log_vs_queue.rounds import Line, Round, Way, compare, cpu_s, line_of, text_of
from rabbit_nodes.child import Child
from rabbit_nodes.node import RabbitNode
from warren.address import shard_of
from warren.batcher import Batcher
from warren.bus import Delivery, Source
from warren.bus.rabbit.bus import RabbitBus
from warren.envelope import Ack, Deliver, Feed, Publish, decode

TEXT = b"x" * 120
ROOMS = 50
SETTLE_S = 10.0


@dataclass
class Bare:
    """Both gateways of one of the bare paths."""

    path: str
    url: str
    broker: psutil.Process
    shards: int
    batchers: list[Batcher[Publish]] = field(default_factory=list)
    acked: int = 0
    sent: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    wrong: int = 0
    latencies: list[float] = field(default_factory=list)

    async def open(self) -> None:
        """Connect and consume as both gateways."""
        topology = self.topology
        self.bus = RabbitBus([self.url], topology, name=f"bench-{self.path}")
        await self.bus.start()
        for gateway in (SENDERS, MEMBERS):
            source = Source(*topology.gateway_queue(gateway, "1"))
            await self.bus.subscribe(_always(source), self._take, prefetch=1_000)
        self.batchers = [Batcher(self._sender(shard)) for shard in range(self.shards)]

    @property
    def topology(self) -> PathTopology:
        """Its part of the broker's topology."""
        return PathTopology(self.path, f"bench-{self.path}", self.shards)

    def _sender(self, shard: int) -> Callable[[Sequence[Publish]], Awaitable[None]]:
        topology, number = self.topology, 0

        async def send(messages: Sequence[Publish]) -> None:
            nonlocal number
            number += 1
            body = batch(number, messages, time.time_ns() // 1_000)
            await self.bus.publish(topology.ingress, topology.shard_key(shard), body, mandatory=True)

        return send

    def _take(self, delivery: Delivery) -> None:
        delivery.ack()
        for each in decode(delivery.body):
            items = [item for _, _, item in each.items] if isinstance(each, Feed) else [each]
            for item in items:
                if isinstance(item, Ack):
                    self.acked += 1
                elif isinstance(item, Deliver):
                    self.latencies.append(time.monotonic() - float(item.payload.split(b" ", 1)[0]))
                    self.wrong += item.seq != self.seen.get(item.room, 0) + 1
                    self.seen[item.room] = item.seq

    def send(self) -> None:
        """Send one message."""
        room = f"bench:{self.sent % ROOMS}"
        self.sent += 1
        payload = b"%r %s" % (time.monotonic(), TEXT)
        message = Publish(
            room, "CHAT", payload, time.time_ns() // 1_000, f"{SENDERS}~1", "user", str(self.sent)
        )
        self.batchers[shard_of(room, self.shards)].offer(message, len(payload))

    async def round(self, rate: float, seconds: float) -> Round:
        """Send at a fixed rate, and wait until everything has arrived."""
        self.latencies.clear()
        sent, wrong, cpu = self.sent, self.wrong, cpu_s(self.broker)
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            while self.sent - sent < elapsed * rate:
                self.send()
            await asyncio.sleep(0.001)
        deadline = time.monotonic() + SETTLE_S
        while not self.settled and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        used = cpu_s(self.broker) - cpu
        missing = self.sent - sum(self.seen.values())
        found = sorted(latency * 1_000 for latency in self.latencies)
        return Round(
            statistics.median(found),
            found[int(len(found) * 0.99)],
            used * 1e6 / (self.sent - sent),
            self.wrong - wrong + missing,
        )

    @property
    def settled(self) -> bool:
        """Whether everything that was sent has been acknowledged and has arrived."""
        return self.acked >= self.sent and sum(self.seen.values()) >= self.sent


def _always(source: Source) -> Callable[[], Source]:
    return lambda: source


def show(title: str, lines: list[Line]) -> None:
    """Print a table."""
    print(f"{title}: old ▶ new (p50 and p99 in ms, CPU in µs a message; ratios: median of the rounds')")
    for line in lines:
        print(text_of(line))


async def lines_of(old: Way, new: Way, arguments: argparse.Namespace) -> list[Line]:
    """Compare two paths at each rate."""
    return [
        line_of(rate, await compare(old, new, rate, arguments.rounds, arguments.seconds))
        for rate in arguments.rates
    ]


async def bare(node: RabbitNode, arguments: argparse.Namespace) -> list[Line]:
    """Compare the bare paths."""
    ways = [Bare(path, node.url, psutil.Process(node.pid), arguments.shards) for path in PATHS]
    for way in ways:
        await way.open()
    lines = await lines_of(ways[0], ways[1], arguments)
    for way in ways:
        await way.bus.close()
    return lines


def run_bare(arguments: argparse.Namespace) -> list[Line]:
    """Compare the bare paths on a private broker."""
    with ExitStack() as stack:
        node = stack.enter_context(RabbitNode())
        for path in PATHS:
            command = [sys.executable, "-m", "bench.log_vs_queue.paths", "--path", path, "--url", node.url]
            router = Child(
                [*command, "--prefix", f"bench-{path}", "--shards", str(arguments.shards)], env=os.environ
            )
            stack.callback(router.end, 5.0)
        time.sleep(3)  # until the routers read
        return uvloop.run(bare(node, arguments))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 500.0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--old", type=Path, help="a checkout of the older Warren, with a .venv")
    parser.add_argument("--skip-bare", action="store_true", help="compare the checkouts alone")
    parser.add_argument("--json", type=Path, help="write every line's medians there too")
    arguments = parser.parse_args()
    tables: dict[str, list[Line]] = {}
    if not arguments.skip_bare:
        tables["bare paths"] = run_bare(arguments)
    if arguments.old is not None:
        with Checkout(arguments.old, arguments.shards) as old, Checkout(Path.cwd(), arguments.shards) as new:
            tables["all of Warren"] = uvloop.run(lines_of(old, new, arguments))
    for title, lines in tables.items():
        show(title, lines)
    if arguments.json is not None:
        shown = {
            title: [{**vars(line), "old": vars(line.old), "new": vars(line.new)} for line in lines]
            for title, lines in tables.items()
        }
        arguments.json.write_text(json.dumps(shown, indent=2))
    return int(not all(line.passed for line in next(iter(tables.values()))))


if __name__ == "__main__":
    sys.exit(main())
