"""What both services use: envelopes, the queue of what waits for a batch, and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from warren import envelope as wire
from warren.batch import Batch, BatchLimits
from warren.batcher import Batcher
from warren.metrics import GatewayMetrics

AT_US = 1_800_000_000_000_000
PAYLOAD = b'{"text":"' + b"x" * 170 + b'"}'
COUNT = 32


def publish(number: int, room: str = "chat:room") -> wire.Publish:
    """Return a client's message of 180 bytes."""
    return wire.Publish(room, "CHAT", PAYLOAD, AT_US, "g0~1", "user1", f"id{number:x}")


def deliver(seq: int, room: str = "chat:room") -> wire.Deliver:
    """Return the same message, numbered."""
    return wire.Deliver(room, "1-1", seq, "CHAT", PAYLOAD, AT_US, "g0~1", "user1", f"id{seq:x}")


def encode_one() -> Callable[[], object]:
    batch = [deliver(1)]
    return lambda: wire.encode(batch)


def encode_many() -> Callable[[], object]:
    batch = [deliver(seq) for seq in range(COUNT)]
    return lambda: wire.encode(batch)


def decode_one() -> Callable[[], object]:
    body = wire.encode([deliver(1)])
    return lambda: wire.decode(body)


def decode_many() -> Callable[[], object]:
    body = wire.encode([deliver(seq) for seq in range(COUNT)])
    return lambda: wire.decode(body)


def batch() -> Callable[[], object]:
    waiting: Batch[wire.Publish] = Batch(BatchLimits())
    message = publish(1)

    def run() -> None:
        for _ in range(COUNT):
            waiting.offer(message, 340)
        waiting.next()

    return run


def batcher() -> Callable[[], object]:
    """Offers 32 items and waits until they are sent: the first alone, the others as one batch."""
    loop = asyncio.new_event_loop()
    message = publish(1)

    async def send(items: Sequence[wire.Publish]) -> None:
        await asyncio.sleep(0)

    one: Batcher[wire.Publish] = Batcher(send)

    async def walk() -> None:
        for _ in range(COUNT):
            one.offer(message, 340)
        await one.flush()

    return lambda: loop.run_until_complete(walk())


def count_in() -> Callable[[], object]:
    """A message from a client is counted, with its bytes."""
    metrics = GatewayMetrics()
    return lambda: metrics.messages_in("CHAT", 250)


def count_out(kind: str, trace: str = "") -> Callable[[], Callable[[], object]]:
    """A message to 10 recipients is counted, and the time that it took."""

    def make() -> Callable[[], object]:
        metrics = GatewayMetrics()

        def run() -> None:
            metrics.messages_out(kind, 10)
            metrics.hop_seconds("end_to_end", 0.0123, trace)

        return run

    return make


def scrape() -> Callable[[], object]:
    """A gateway that has counted a little of everything ▶ its exposition."""
    metrics = GatewayMetrics()
    for kind in ("CHAT", "TYPING", "ACK", "PRESENCE", "own.kind"):
        metrics.messages_in(kind, 250)
        metrics.messages_out(kind, 10)
    for hop in ("uplink", "downlink", "end_to_end", "call"):
        metrics.hop_seconds(hop, 0.0123, "0af7651916cd43dd8448eb211c80319c")
        metrics.batch_size(hop, 3)
    return lambda: metrics.render("application/openmetrics-text;version=1.0.0")


BENCHES: dict[str, Callable[[], Callable[[], object]]] = {
    "envelope encode, 1 message": encode_one,
    "envelope encode, 32 messages": encode_many,
    "envelope decode, 1 message": decode_one,
    "envelope decode, 32 messages": decode_many,
    "batch, 32 in and out": batch,
    "batcher, 32 offered and sent": batcher,
    "metrics, a message in": count_in,
    "metrics, a message out": count_out("CHAT"),
    "metrics, a message out of a client's own type": count_out("own.kind"),
    "metrics, a sampled message out": count_out("CHAT", "0af7651916cd43dd8448eb211c80319c"),
    "metrics, a scrape": scrape,
}
