"""The Bus: what Warren asks of a broker, on one page. ``rabbit`` keeps it over AMQP 0-9-1, ``memory`` inside
one process.

``tests/contract/test_bus.py`` is the suite that every implementation passes. What a caller may rely on:

* **Confirmed publishing.** ``publish`` returns once the broker has taken charge. BusUnavailable: nothing was
  sent. NotConfirmed: the fate is not known, so send again under the same id. Unroutable: a mandatory message
  reached no queue. Calls made one after another (not awaited yet) from one task reach a queue in that order.
* **At least once.** What is not acknowledged when a channel ends is delivered again: in its order, before the
  rest, and to the next consumer of a queue that lets one consume at a time.
* **Supervision.** A lost connection is made again with jittered back-off over the given addresses, for ever;
  the whole topology is declared again each time; each subscription gets its queue declared (a fresh name
  where exclusive; the former one's guard exchange is deleted) and consumed again. ``watch`` tells of it.
* **No surprises.** Callbacks are plain functions, called in the order of delivery in the event loop; they
  must not block or raise. Acks are fire-and-forget; an ack for a delivery whose channel is gone does nothing.
* **Streams tell little.** All readers see the same entries under the same offsets, in order. What a reader is
  not told: that a stream has dropped its beginning (the next record simply has a higher offset; a few numbers
  are skipped without a loss too), that the offset it asked for is beyond the end (it waits until the stream
  gets there), that the stream was deleted and made anew between two readings, that the node which serves it
  has stood still and serves it no more. Who must know compares what it reads: it begins again at the last
  record that it has; and who has heard nothing for a while asks for the ``last``.

It never retries a publish, never drops a delivery, and knows nothing of envelopes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from warren.topology import Binding, Queue

TAIL_PREFETCH = 256


def nothing() -> None:
    """Stand for a callback that nobody gave."""


HeaderValue = str | int | float | bool | bytes | None


@dataclass(frozen=True, slots=True)
class Properties:
    """The AMQP basic properties that Warren uses."""

    content_type: str | None = None
    type: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration_ms: int | None = None
    timestamp_ms: int | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    # Whoever has published it says who it is; the broker has checked the user's name. Warren writes neither.
    user_id: str | None = None
    app_id: str | None = None


NO_PROPERTIES = Properties()


class Delivery(Protocol):
    """A message that a queue gave us."""

    @property
    def body(self) -> bytes:
        """The message's bytes."""
        ...

    @property
    def exchange(self) -> str:
        """Where it was published."""
        ...

    @property
    def routing_key(self) -> str:
        """The key it was published with."""
        ...

    @property
    def properties(self) -> Properties:
        """Its properties; header values of other AMQP types are given as their text."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""
        ...

    def ack(self) -> None:
        """Say that it is dealt with."""
        ...

    def reject(self, *, requeue: bool) -> None:
        """Give it back to the queue, or (requeue=False) to the queue's dead-letter exchange."""
        ...


OnDelivery = Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What a subscription consumes. ``bindings`` are declared with the queue (an exclusive one is reached
    through its guard exchange, see the topology); durable queues have theirs in the topology.
    """

    queue: Queue
    bindings: tuple[Binding, ...] = ()


class Subscription(Protocol):
    """A supervised consumer."""

    @property
    def active(self) -> bool:
        """Whether the queue is being consumed now."""
        ...

    @property
    def queue(self) -> str:
        """The queue's name at present."""
        ...

    def renew(self) -> None:
        """Consume anew (an exclusive queue under a fresh name; what is in the old one is lost). Nothing where
        it is not active: then that happens anyway.
        """
        ...

    async def close(self) -> None:
        """Stop consuming and close the channel; what is not acknowledged goes back to the queue in order."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """An entry of a stream."""

    offset: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A place in a stream: the first record that the broker wrote at that time (milliseconds since the Unix
    epoch, taken down to whole seconds) or later. The stream's first where all are later, the next to come
    where all are earlier.
    """

    ms: int


# Where to begin in a stream. "last" is the beginning of what was written last together: one record or some.
Start = int | Timestamp | Literal["first", "last"]


class Outgoing(NamedTuple):
    """A message that is to be published with others."""

    key: str
    body: bytes
    properties: Properties = NO_PROPERTIES


class Bus(Protocol):
    """A broker."""

    @property
    def up(self) -> bool:
        """Whether the broker can be published to now."""
        ...

    @property
    def blocked(self) -> bool:
        """Whether the broker holds publishers back (a memory or disk alarm): a publish waits
        until that ends.
        """
        ...

    async def start(self) -> None:
        """Connect and declare the topology; try until it succeeds (a line in the log for each failure).

        Raises TopologyMismatch where the broker's topology was made with other settings.
        """
        ...

    async def close(self) -> None:
        """Close everything; unacknowledged deliveries go back to their queues."""
        ...

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener(False)`` when the broker goes away and ``listener(True)`` when everything is
        declared and consumed again.
        """
        ...

    def watch_blocked(self, listener: Callable[[bool], None]) -> None:
        """Call ``listener(True)`` when the broker begins to hold publishers back, and ``listener(False)``
        when it takes publishes again or is away. It is known soon after the first publish that waits.
        """
        ...

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Properties | None = None,
        *,
        mandatory: bool = False,
        persistent: bool = True,
    ) -> None:
        """Publish and wait for the confirm. ``exchange`` "" reaches the queue named by ``key``.

        Raises BusUnavailable, NotConfirmed, Unroutable (mandatory only).
        """
        ...

    async def publish_all(self, exchange: str, messages: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish these in their order, persistent, and wait for all confirms. Return what became of each:
        None where it was confirmed, else what ``publish`` would have raised.

        One by one each would cost a task and a timer, which is more than the publish itself. Raises
        ValueError for the exchange of the shards' logs: each of those has a channel of its own.
        """
        ...

    async def subscribe(
        self,
        source: Callable[[], Source],
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        on_start: Callable[[], None] = nothing,
        on_lost: Callable[[], None] = nothing,
    ) -> Subscription:
        """Consume for as long as the bus lives. ``source`` is asked again at each (re)connect, so an
        exclusive queue gets a new name.

        ``on_start`` is called each time the queue is consumed anew and before its first delivery; ``on_lost``
        each time its channel is gone.
        """
        ...

    async def retire(self, queue: str) -> None:
        """Delete the guard exchange of an exclusive queue, whoever owns it: nothing is routed to it any more.
        For a process that is dead (one that lives has to ``renew``); nothing where there is no such guard
        exchange. Raises BusUnavailable.
        """
        ...

    async def tail(
        self,
        stream: str,
        start: Start,
        on_record: Callable[[Record], bool],
        *,
        prefetch: int = TAIL_PREFETCH,
        on_start: Callable[[], None] = nothing,
    ) -> None:
        """Read a stream from ``start``, in order, until ``on_record`` returns False; what it raises is raised
        here. Waits at the stream's end for more. At most ``prefetch`` records are on their way at a time.
        Many can read at once, each by itself; cancelling ends one. ``on_start`` is called once the broker has
        said that it serves the stream: who hears nothing before that knows nothing of it.

        Raises BusUnavailable where there is no such stream, it can't be read now, or it goes away meanwhile
        (deleted, or the broker is).
        """
        ...

    async def last(self, stream: str) -> int | None:
        """Return the offset of an entry near a stream's end, by another way than that of those who read
        (another node of the broker, where there are several); None where there is none, or it could not be
        found out soon.
        """
        ...

    def move_readers(self) -> None:
        """Have all who read do so by another way: each ``tail`` ends with BusUnavailable."""
        ...

    def stream_remade(self, stream: str) -> None:
        """Say that a stream was deleted and declared anew since it was published to. What publishes may
        count on where the stream begins again.
        """
        ...

    async def depth(self, queue: str) -> int | None:
        """Return how many messages are ready in a queue; None where the broker is away or has no
        such queue.
        """
        ...
