"""MemoryQueue: a memory broker's queue with its consumers.

It keeps RabbitMQ's rules: what is given back comes first and in its order, one consumer at a time where the
queue says so, a full queue refuses or drops its oldest, and what can't be delivered goes to the dead-letter
exchange with a reason. Consumers are called in a later turn of the event loop, never inside the publish.
Nothing here knows a bus or a binding.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from warren.bus import OnDelivery, Properties
from warren.topology import ArgumentValue, Queue

DeathReason = Literal["rejected", "expired", "maxlen", "delivery_limit"]
BURST = 256  # deliveries in one turn of the loop, so that a full queue does not hold up everybody else

_log = logging.getLogger("warren.bus")


@dataclass(slots=True, eq=False)
class Message:
    """A message in one queue. ``order`` is its place in that queue for life; ``returns`` counts how often it
    was given back.
    """

    body: bytes
    exchange: str
    routing_key: str
    properties: Properties
    order: int = 0
    returns: int = 0
    expires_at: float | None = None


DeadLetter = Callable[[str, Message, str, DeathReason], None]


class MemoryDelivery:
    """A message that a consumer was given."""

    __slots__ = (
        "_consumer",
        "_message",
        "_settled",
        "body",
        "exchange",
        "properties",
        "redelivered",
        "routing_key",
    )

    def __init__(self, consumer: MemoryConsumer, message: Message) -> None:
        """Belongs to one consumer: when that one is gone, ``ack`` and ``reject`` do nothing."""
        self._consumer = consumer
        self._message = message
        self._settled = False
        self.body = message.body
        self.exchange = message.exchange
        self.routing_key = message.routing_key
        self.redelivered = message.returns > 0
        self.properties = message.properties
        if message.returns:
            headers = {**message.properties.headers, "x-delivery-count": message.returns}
            self.properties = replace(message.properties, headers=headers)

    def ack(self) -> None:
        """Acknowledge it (``basic.ack``)."""
        if not self._settled:
            self._settled = True
            self._consumer.settle(self._message, None)

    def reject(self, *, requeue: bool) -> None:
        """Give it back, or away to the dead-letter exchange."""
        if not self._settled:
            self._settled = True
            self._consumer.settle(self._message, "requeue" if requeue else "rejected")


class MemoryConsumer:
    """One consumer of a queue, with at most ``prefetch`` unsettled deliveries."""

    def __init__(
        self, queue: MemoryQueue, on_delivery: OnDelivery, prefetch: int, on_cancel: Callable[[], None]
    ) -> None:
        """``on_cancel`` is called where the queue is deleted under the consumer."""
        self.queue = queue
        self.on_cancel = on_cancel
        self.alive = True
        self.unacked: dict[int, Message] = {}
        self._on_delivery = on_delivery
        self._prefetch = prefetch

    @property
    def has_credit(self) -> bool:
        """Whether it may be given one more."""
        return self.alive and len(self.unacked) < self._prefetch

    def deliver(self, message: Message) -> None:
        """Hand a message to the callback."""
        self.unacked[message.order] = message
        try:
            self._on_delivery(MemoryDelivery(self, message))
        except Exception:  # noqa: BLE001 - a caller's mistake must not end the deliveries of the others
            _log.exception("a consumer of %s raised; the delivery stays unacknowledged", self.queue.name)

    def settle(self, message: Message, how: Literal["requeue", "rejected"] | None) -> None:
        """Take a message off the unacknowledged ones, and put it where it belongs now."""
        if not self.alive or self.unacked.pop(message.order, None) is None:
            return
        if how == "requeue":
            self.queue.give_back([message])
        elif how == "rejected":
            self.queue.dead_letter(message, "rejected")
        self.queue.wake()

    def close(self) -> None:
        """Consume no more; what is unacknowledged goes back to the queue."""
        if self.alive:
            self.alive = False
            self.queue.remove(self)


def number_of(arguments: Mapping[str, ArgumentValue], name: str) -> int | None:
    """Return an argument that is a number; None where there is none of that name."""
    value = arguments.get(name)
    return value if isinstance(value, int) else None


class MemoryQueue:
    """A queue. ``owner`` is the bus that an exclusive one belongs to."""

    def __init__(
        self, queue: Queue, dead_letter: DeadLetter, default_bytes: int, owner: object | None
    ) -> None:
        """``default_bytes`` bounds a queue that has no limit of its own: when full it refuses."""
        arguments = queue.arguments
        self.name = queue.name
        self.declared = queue
        self.owner = owner
        self.bytes = 0
        self._dead_letter = dead_letter
        self._ready: deque[Message] = deque()
        self._consumers: deque[MemoryConsumer] = deque()
        self._order = 0
        self._pumping: asyncio.Handle | None = None
        self._max_count = number_of(arguments, "x-max-length")
        max_bytes = number_of(arguments, "x-max-length-bytes")
        limited = max_bytes is not None or self._max_count is not None
        self._max_bytes = default_bytes if max_bytes is None else max_bytes
        self._refuses = arguments.get("x-overflow") == "reject-publish" or not limited
        self._one_at_a_time = bool(arguments.get("x-single-active-consumer"))
        self._delivery_limit = number_of(arguments, "x-delivery-limit")
        exchange = arguments.get("x-dead-letter-exchange")
        self._dead_letter_exchange = exchange if isinstance(exchange, str) else None

    def __len__(self) -> int:
        """Return how many messages are ready."""
        self._expire()
        return len(self._ready)

    @property
    def consumers(self) -> int:
        """How many consume it (with a single active one, those that wait as well)."""
        return len(self._consumers)

    def put(self, message: Message) -> bool:
        """Append a message; False where the queue is full and refuses."""
        self._expire()
        full = self.bytes >= self._max_bytes or (
            self._max_count is not None and len(self._ready) >= self._max_count
        )
        if full and self._refuses:
            return False
        self._order += 1
        message.order = self._order
        self._ready.append(message)
        self.bytes += len(message.body)
        while self._ready and not self._refuses and self._is_over():
            self.dead_letter(self._take(), "maxlen")
        if message.expires_at is not None:
            asyncio.get_running_loop().call_at(message.expires_at, self._expire)
        self.wake()
        return True

    def give_back(self, messages: Iterable[Message]) -> None:
        """Put messages back to their places, before the rest; those given back too often go to the
        dead-letter exchange.
        """
        returned: list[Message] = []
        for message in messages:
            message.returns += 1
            if self._delivery_limit is not None and message.returns > self._delivery_limit:
                self.dead_letter(message, "delivery_limit")
            else:
                returned.append(message)
                self.bytes += len(message.body)
        returned.sort(key=lambda message: message.order)
        self._ready = deque(heapq.merge(returned, self._ready, key=lambda message: message.order))
        self.wake()

    def dead_letter(self, message: Message, reason: DeathReason) -> None:
        """Hand a message to the dead-letter exchange, where the queue has one."""
        # A message that comes back to the queue it died in would go round for ever: RabbitMQ drops it too.
        cycle = reason != "rejected" and message.properties.headers.get("x-first-death-queue") == self.name
        if self._dead_letter_exchange is not None and not cycle:
            self._dead_letter(self._dead_letter_exchange, message, self.name, reason)

    def add(self, consumer: MemoryConsumer) -> None:
        """Let a consumer have its share; with a single active one it waits for its turn."""
        self._consumers.append(consumer)
        self.wake()

    def remove(self, consumer: MemoryConsumer) -> None:
        """Forget a consumer and take back what it holds."""
        self._consumers.remove(consumer)
        held, consumer.unacked = consumer.unacked, {}
        self.give_back(held.values())

    def end(self) -> list[MemoryConsumer]:
        """Delete the queue; return the consumers it had."""
        consumers, self._consumers = list(self._consumers), deque()
        for consumer in consumers:
            consumer.alive = False
        self._ready.clear()
        self.bytes = 0
        return consumers

    def wake(self) -> None:
        """Deliver in the next turn of the loop."""
        if self._pumping is None and self._ready and self._consumers:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = None
        for _ in range(BURST):
            self._expire()
            consumer = self._next_consumer()
            if consumer is None or not self._ready:
                return
            consumer.deliver(self._take())
        self.wake()

    def _next_consumer(self) -> MemoryConsumer | None:
        if self._one_at_a_time:
            return self._consumers[0] if self._consumers and self._consumers[0].has_credit else None
        for _ in range(len(self._consumers)):
            self._consumers.rotate(-1)
            if self._consumers[-1].has_credit:
                return self._consumers[-1]
        return None

    def _take(self) -> Message:
        message = self._ready.popleft()
        self.bytes -= len(message.body)
        return message

    def _is_over(self) -> bool:
        return self.bytes > self._max_bytes or (
            self._max_count is not None and len(self._ready) > self._max_count
        )

    def _expire(self) -> None:
        """Dead-letter what has expired at the head (as a quorum queue does: not in the middle)."""
        while self._ready and (expires_at := self._ready[0].expires_at) is not None:
            if expires_at > asyncio.get_running_loop().time():
                return
            self.dead_letter(self._take(), "expired")
