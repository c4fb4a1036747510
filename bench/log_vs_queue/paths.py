"""The two paths of a message through the broker, reduced to what a router has to do on each, in a separate
process.

    python -m bench.log_vs_queue.paths --path log|queue --url AMQP_URL --prefix PREFIX --shards N

``queue``: a quorum queue with a single active consumer, then the log (a stream), then the gateways; each hop
is confirmed before the next. ``log``: the shard's stream is the entry point, and what is read from it goes to
the gateways. Both decode a batch, number its messages, drop repeats, and encode for the gateway of the sender
(an ACK) and of the member (the message). Neither knows rooms, members, history or leases.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from warren.batcher import Batcher
from warren.bus import Delivery, Record, Source
from warren.bus.rabbit.bus import RabbitBus
from warren.envelope import Ack, Batch, Deliver, Feed, Publish, decode, encode
from warren.position import LogPosition
from warren.topology import ArgumentValue, Binding, Exchange, Queue, Topology

PATHS = ("queue", "log")
SENDERS, MEMBERS = "senders", "members"  # the two gateways
LIFE = "g"


class PathTopology(Topology):
    """The same for both paths, except for what is between the ingress and the routers."""

    def __init__(self, path: str, prefix: str, shards: int) -> None:
        super().__init__(prefix, shards)
        self.path = path

    def exchanges(self) -> tuple[Exchange, ...]:
        """Return the ingress and the egress."""
        return (Exchange(self.ingress, "direct"), Exchange(self.egress, "direct"))

    def queues(self) -> tuple[Queue, ...]:
        """Return the logs, and for one of the paths the queues in front of them."""
        logs = tuple(self.log(shard) for shard in range(self.shards))
        return logs if self.path == "log" else (*logs, *(self.way_in(shard) for shard in range(self.shards)))

    def bindings(self) -> tuple[Binding, ...]:
        """Return the bindings of the entry points."""
        return tuple(
            Binding(self.ingress, self.way_in(shard).name, self.shard_key(shard))
            for shard in range(self.shards)
        )

    def way_in(self, shard: int) -> Queue:
        """Return what the gateways publish into."""
        if self.path == "log":
            return self.log(shard)
        arguments: dict[str, ArgumentValue] = {
            "x-single-active-consumer": True,
            "x-delivery-limit": 20,
            "x-max-length-bytes": 256 * 1024 * 1024,
            "x-overflow": "reject-publish",
        }
        return Queue(f"{self.prefix}.in.{shard}", "quorum", arguments)


class Numbering:
    """A stand-in for a shard's state: the numbers of rooms, and the known ids."""

    def __init__(self) -> None:
        self._seqs: dict[str, int] = {}
        self._ids: set[tuple[str, str, str]] = set()

    def take(self, body: bytes) -> list[Deliver]:
        """Return a batch's messages, numbered and without repeats."""
        messages = []
        for each in decode(body):
            if not isinstance(each, Publish) or (each.room, each.user, each.id) in self._ids:
                continue
            self._ids.add((each.room, each.user, each.id))
            seq = self._seqs[each.room] = self._seqs.get(each.room, 0) + 1
            messages.append(
                Deliver(
                    each.room,
                    LIFE,
                    seq,
                    each.type,
                    each.payload,
                    each.at_us,
                    conn=each.conn,
                    user=each.user,
                    id=each.id,
                )
            )
        return messages


def ack(message: Deliver) -> Ack:
    """Return the ACK for a sender."""
    return Ack(message.conn, message.room, message.id, message.epoch, message.seq)


class Egress:
    """One batcher for each gateway over all shards, with one unconfirmed publish."""

    def __init__(self, bus: RabbitBus, topology: Topology) -> None:
        self._bus, self._topology = bus, topology
        self._batchers = {gateway: Batcher(self._sender(gateway)) for gateway in (SENDERS, MEMBERS)}

    def _sender(self, gateway: str) -> Callable[[Sequence[Ack | Deliver | Feed]], Awaitable[None]]:
        async def send(items: Sequence[Ack | Deliver | Feed]) -> None:
            await self._bus.publish(
                self._topology.egress, gateway, encode(items), mandatory=True, persistent=False
            )

        return send

    def offer(self, gateway: str, item: Ack | Deliver | Feed) -> None:
        """Send an item with the next batch."""
        self._batchers[gateway].offer(item, 300)


async def by_the_queue(bus: RabbitBus, topology: PathTopology, shard: int, egress: Egress) -> None:
    """Consume the shard's queue and write its log; publish what is logged, and acknowledge it."""
    numbering = Numbering()
    waiting: list[Delivery] = []
    more = asyncio.Event()

    def take(delivery: Delivery) -> None:
        waiting.append(delivery)
        more.set()

    await bus.subscribe(lambda: Source(topology.way_in(shard)), take, prefetch=64)
    while True:
        await more.wait()
        more.clear()
        deliveries, waiting[:] = list(waiting), []
        messages = [message for delivery in deliveries for message in numbering.take(delivery.body)]
        if messages:
            await bus.publish("", topology.log(shard).name, encode(messages), mandatory=True)
        for message in messages:
            egress.offer(SENDERS, ack(message))
            egress.offer(MEMBERS, message)
        for delivery in deliveries:
            delivery.ack()


async def by_the_log(bus: RabbitBus, topology: PathTopology, shard: int, egress: Egress) -> None:
    """Read the shard's log; publish feeds of what is read."""
    numbering = Numbering()
    upto = LogPosition(LIFE, -1, 0)

    def take(record: Record) -> bool:
        nonlocal upto
        messages = numbering.take(record.body)
        after, upto = upto, LogPosition(LIFE, record.offset, 2 * len(messages))
        at = record.offset
        delivers = tuple((at, 2 * index + 1, message) for index, message in enumerate(messages))
        acks = tuple((at, 2 * index + 2, ack(message)) for index, message in enumerate(messages))
        egress.offer(SENDERS, Feed("r", shard, 1, 0, after, upto, acks))
        egress.offer(MEMBERS, Feed("r", shard, 1, 0, after, upto, delivers))
        return True

    await bus.tail(topology.log(shard).name, "first", take)


async def route(path: str, url: str, prefix: str, shards: int) -> None:
    """Run the router until the process ends."""
    topology = PathTopology(path, prefix, shards)
    bus = RabbitBus([url], topology, name=f"bench-{path}")
    await bus.start()
    egress = Egress(bus, topology)
    one = by_the_queue if path == "queue" else by_the_log
    await asyncio.gather(*(one(bus, topology, shard, egress) for shard in range(shards)))


def batch(number: int, messages: Sequence[Publish], at_us: int) -> bytes:
    """Return the body of a gateway's publish to the ingress."""
    return encode([Batch(SENDERS, 1, number, at_us), *messages])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--path", choices=PATHS, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--shards", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(route(arguments.path, arguments.url, arguments.prefix, arguments.shards))


if __name__ == "__main__":
    main()
