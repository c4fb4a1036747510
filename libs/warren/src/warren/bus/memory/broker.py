"""MemoryBroker: exchanges, bindings, queues and streams inside one process, shared by the MemoryBuses of
several services.

It is the broker's side: it routes, refuses and deletes, synchronously, and has no task. It also offers what
can go wrong (``cut``, ``restore``, ``delete``) to tests. It never keeps anything on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from warren.bus import OnDelivery, Properties
from warren.bus.memory.queue import DeathReason, MemoryConsumer, MemoryQueue, Message
from warren.bus.memory.stream import MemoryStream
from warren.clock import Clock, SystemClock
from warren.errors import TopologyMismatch
from warren.topology import Binding, Exchange, Queue, Topology, former_text

Outcome = Literal["confirmed", "nacked", "returned", "no exchange"]


class Attached(Protocol):
    """A bus, as the broker sees it: told when its connection is cut and when it can connect again."""

    def connection_lost(self) -> None:
        """Do what a client does whose connection broke."""
        ...

    def connection_possible(self) -> None:
        """Connect again."""
        ...


def topic_matches(pattern: str, key: str) -> bool:
    """Say whether a topic binding's pattern (``*`` one word, ``#`` any number of words) matches a routing
    key.
    """
    return _words_match(pattern.split("."), key.split(".") if key else [])


def _words_match(pattern: list[str], words: list[str]) -> bool:
    # reachable[i]: the pattern so far can have eaten the first i words. Linear in both, however many # there
    # are.
    reachable = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            for index in range(len(words)):
                reachable[index + 1] = reachable[index + 1] or reachable[index]
        else:
            reachable = [False] + [
                reachable[index] and part in ("*", word) for index, word in enumerate(words)
            ]  # fmt: skip
    return reachable[-1]


class MemoryBroker:
    """A broker in this process."""

    def __init__(
        self,
        *,
        queue_bytes: int = 256 * 1024 * 1024,
        stream_bytes: int = 64 * 1024 * 1024,
        clock: Clock | None = None,
    ) -> None:
        """``queue_bytes`` bounds each queue that has no limit of its own, ``stream_bytes`` every stream,
        since all of it is in memory here; ``clock`` dates streams' records.
        """
        self._clock = clock or SystemClock()
        self._queue_bytes = queue_bytes
        self._stream_bytes = stream_bytes
        self._exchanges: dict[str, Exchange] = {}
        self._bindings: dict[str, dict[Binding, None]] = {}  # by exchange; a dict keeps their order
        self._queues: dict[str, MemoryQueue | MemoryStream] = {}
        self._cut: set[Attached] = set()

    # ── what tests do to it ─────────────────────────────────────────────────────────────────────────────────

    def cut(self, bus: Attached) -> None:
        """Break a bus's connection and refuse it until ``restore``."""
        self._cut.add(bus)
        bus.connection_lost()

    def restore(self, bus: Attached) -> None:
        """Let a bus connect again."""
        self._cut.discard(bus)
        bus.connection_possible()

    def is_cut(self, bus: Attached) -> bool:
        """Say whether a bus is cut off."""
        return bus in self._cut

    # ── declaring ───────────────────────────────────────────────────────────────────────────────────────────

    def declare(self, topology: Topology) -> None:
        """Declare a whole topology. Raises TopologyMismatch where something exists with other arguments."""
        for name in topology.former():
            if name in self._queues:
                raise TopologyMismatch(former_text(name, topology))
        for exchange in topology.exchanges():
            if self._exchanges.setdefault(exchange.name, exchange) != exchange:
                raise TopologyMismatch(f"exchange {exchange.name} exists with another type")
            self._bindings.setdefault(exchange.name, {})
        for queue in topology.queues():
            self.declare_queue(queue, None)
        for binding in topology.bindings():
            self.bind(binding)

    def declare_queue(self, queue: Queue, owner: object | None) -> None:
        """Declare a queue or stream; ``owner`` is the bus of an exclusive one."""
        known = self._queues.get(queue.name)
        if known is not None:
            if known.declared.kind != queue.kind or dict(known.declared.arguments) != dict(queue.arguments):
                raise TopologyMismatch(f"queue {queue.name} exists with other arguments")
            if isinstance(known, MemoryQueue) and known.owner is not owner:
                raise TopologyMismatch(f"queue {queue.name} belongs to another connection")
        elif queue.kind == "stream":
            self._queues[queue.name] = MemoryStream(queue, self._stream_bytes)
        else:
            owner = owner if queue.kind == "exclusive" else None
            self._queues[queue.name] = MemoryQueue(queue, self._dead_letter, self._queue_bytes, owner)

    def bind(self, binding: Binding) -> None:
        """Bind a queue. Raises TopologyMismatch where either end does not exist."""
        if binding.exchange not in self._exchanges or binding.queue not in self._queues:
            raise TopologyMismatch(f"nothing to bind: {binding.exchange} to {binding.queue}")
        self._bindings[binding.exchange][binding] = None

    def unbind(self, name: str) -> None:
        """Take an exclusive queue out of every exchange; nothing where there is none of that name."""
        queue = self._queues.get(name)
        if isinstance(queue, MemoryQueue) and queue.owner is not None:
            self._unbind(name)

    def delete(self, name: str) -> None:
        """Delete a queue with what is in it; its consumers are told in the next turn of the loop."""
        queue = self._queues.pop(name, None)
        self._unbind(name)
        if isinstance(queue, MemoryQueue):
            for consumer in queue.end():
                asyncio.get_running_loop().call_soon(consumer.on_cancel)
        elif queue is not None:
            queue.end()

    def _unbind(self, name: str) -> None:
        for bindings in self._bindings.values():
            for binding in [binding for binding in bindings if binding.queue == name]:
                del bindings[binding]

    def forget(self, owner: object) -> None:
        """Delete the exclusive queues of a bus whose connection is gone."""
        gone = [
            queue.name
            for queue in self._queues.values()
            if isinstance(queue, MemoryQueue) and queue.owner is owner
        ]
        for name in gone:
            self.delete(name)

    # ── publishing and consuming ────────────────────────────────────────────────────────────────────────────

    def publish(self, exchange: str, key: str, body: bytes, properties: Properties) -> Outcome:
        """Route a message to its queues at once."""
        if exchange and exchange not in self._exchanges:
            return "no exchange"
        if properties.timestamp_ms is not None:  # AMQP's timestamps are whole seconds
            properties = replace(properties, timestamp_ms=properties.timestamp_ms // 1_000 * 1_000)
        targets = self._route(exchange, key)
        if not targets:
            return "returned"
        taken = [self._put(target, exchange, key, body, properties) for target in targets]
        return "confirmed" if all(taken) else "nacked"

    def consume(
        self, name: str, on_delivery: OnDelivery, prefetch: int, on_cancel: Callable[[], None]
    ) -> MemoryConsumer | None:
        """Add a consumer to a queue; None where there is no such queue."""
        queue = self._queues.get(name)
        if not isinstance(queue, MemoryQueue):
            return None
        consumer = MemoryConsumer(queue, on_delivery, prefetch, on_cancel)
        queue.add(consumer)
        return consumer

    def stream(self, name: str) -> MemoryStream | None:
        """Return a stream; None where there is none of that name."""
        stream = self._queues.get(name)
        return stream if isinstance(stream, MemoryStream) else None

    def depth(self, name: str) -> int | None:
        """Return how many messages are ready in a queue (or held by a stream); None where there is none of
        that name.
        """
        queue = self._queues.get(name)
        return None if queue is None else len(queue)

    def queues(self) -> tuple[str, ...]:
        """Return the names of the queues and streams that exist."""
        return tuple(self._queues)

    def _route(self, exchange: str, key: str) -> list[MemoryQueue | MemoryStream]:
        if not exchange:
            target = self._queues.get(key)
            return [] if target is None else [target]
        kind = self._exchanges[exchange].type
        names: dict[str, None] = {}  # a queue that several bindings match gets one copy
        for binding in self._bindings[exchange]:
            if (
                kind == "fanout"
                or binding.key == key
                or (kind == "topic" and topic_matches(binding.key, key))
            ):
                names[binding.queue] = None
        return [self._queues[name] for name in names]

    def _put(
        self, target: MemoryQueue | MemoryStream, exchange: str, key: str, body: bytes, properties: Properties
    ) -> bool:
        if isinstance(target, MemoryStream):
            target.put(body, self._clock.wall_us() // 1_000)
            return True
        message = Message(body, exchange, key, properties)
        if properties.expiration_ms is not None:
            message.expires_at = asyncio.get_running_loop().time() + properties.expiration_ms / 1_000
        return target.put(message)

    def _dead_letter(self, exchange: str, message: Message, queue: str, reason: DeathReason) -> None:
        headers = {
            "x-first-death-exchange": message.exchange,
            "x-first-death-queue": queue,
            "x-first-death-reason": reason,
            **message.properties.headers,  # the first death stays the first
        }
        properties = replace(message.properties, headers=headers, expiration_ms=None)
        self.publish(exchange, message.routing_key, message.body, properties)
