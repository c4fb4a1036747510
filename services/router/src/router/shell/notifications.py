"""Notifications: what backends publish for rooms ▶ checked ▶ the shard that it belongs to; what is invalid is
set aside with the reason.

Order is kept for each address: one consumer at a time (the broker's doing), taken in order, one record under
way for each shard, repeated until it is confirmed; each message has an id, so that a record that stands in
the log twice counts once. Only then is the notification acknowledged; the prefetch bounds what is on its way.
It looks into no payload beyond the check; ``shell/backend_queues.py`` says which queue and which check.
One delivery may bring a list of notifications (``core/notification_list_parser.py``): one list is opened at a
time, and what is on its way is bounded by the batchers' limits.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import msgspec

from router.core.notification_list_parser import Parsed, parse_entry, split_list
from router.shell.backend_queues import BackendQueue
from router.shell.dead_letters import KEY_HEADER, DeadLetters
from router.shell.delivery_settlement import DeliverySettlement, Settleable
from router.shell.message_record import write_messages
from router.shell.receipt_replies import ReceiptReplies, ReplyAddress
from router.shell.redelivery_screening import RedeliveryScreening
from router.shell.router_context import RouterContext
from router.shell.sandbox_process import SandboxProcess
from warren.address import shard_of
from warren.batch import BatchLimits, Pace
from warren.batcher import Batcher
from warren.bus import Delivery, HeaderValue, Source, Subscription
from warren.envelope import INTERNAL_ID, Publish, size_of
from warren.logs import event, get_logger
from warren.payloads import JSON_TYPE
from warren.supervision import cancel_and_wait, supervised
from warren.telemetry import Hop, HopKind

_logger = get_logger("router.notifications")
T = TypeVar("T")
INDEX_HEADER = "x-warren-index"
Taken = tuple[Publish, Settleable, Hop | None, int]


@dataclass(frozen=True, slots=True)
class Refused:
    """What is set aside: a delivery, or the entry of a list that it brought."""

    delivery: Delivery
    reason: str
    settled: Settleable
    body: bytes
    index: int | None = None


@dataclass(frozen=True, slots=True)
class NotificationLimits:
    """How much goes to a shard at once and may wait for it, how many deliveries are on their way at a time,
    and how large a payload may be.
    """

    batches: BatchLimits
    prefetch: int
    max_bytes: int


class Notifications:
    """The consumer of one of backends' queues."""

    def __init__(
        self,
        context: RouterContext,
        dead_letters: DeadLetters,
        sandbox: SandboxProcess,
        limits: NotificationLimits,
        pace: Pace,
        holds: BackendQueue,
        receipts: ReceiptReplies,
    ) -> None:
        """``dead_letters`` keeps what is invalid; ``sandbox`` tries what comes for the second time; ``holds``
        is the queue; ``receipts`` tell backends what becomes of a notification.
        """
        self._holds = holds
        self._context = context
        self._numbers = itertools.count(1)
        self._bus = context.bus
        self._topology = context.topology
        self._dead_letters = dead_letters
        self._receipts = receipts
        self._clock = context.clock
        self._metrics = context.metrics
        self._tracing = context.tracing
        self._limits = limits.batches
        self._pace = pace
        self._prefetch = limits.prefetch
        self._max_bytes = limits.max_bytes
        self._inbound: deque[Delivery] = deque()
        self._screening = RedeliveryScreening(sandbox, self._tried, self._hand_on, self._poison)
        self._generation = 0  # counts the losses of the queue
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._batchers: dict[int, Batcher[Taken]] = {}
        self._refused: Batcher[Refused] = Batcher(self._keep, limits.batches)
        context.metrics.waiting_from(holds.name, self._waiting)

    async def start(self) -> None:
        """Begin to take notifications."""
        self._task = supervised(asyncio.get_running_loop().create_task(self._run(), name=self._holds.name))
        self._subscription = await self._bus.subscribe(
            lambda: Source(self._holds.queue(self._topology)),
            self._delivered,
            prefetch=self._prefetch,
            on_lost=self._lost,
        )

    async def stop(self) -> None:
        """Take no more, and finish and acknowledge what has begun. It lasts as long as the broker is away."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait((self._task,))
        for batcher in self._ways():
            await batcher.flush()

    async def kill(self) -> None:
        """Give up what has begun, and close."""
        self._stopping = True
        task, self._task = self._task, None
        await cancel_and_wait(task)
        await self._screening.close()
        for batcher in self._ways():
            await batcher.close()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def _waiting(self) -> int:
        return self._screening.waiting + len(self._inbound) + sum(batcher.waiting for batcher in self._ways())

    def _ways(self) -> list[Batcher[Taken] | Batcher[Refused]]:
        return [*self._batchers.values(), self._refused]

    def _delivered(self, delivery: Delivery) -> None:
        if not self._stopping:
            self._screening.take(delivery)

    def _hand_on(self, delivery: Delivery) -> None:
        if not self._stopping:
            self._inbound.append(delivery)
            self._wake.set()

    def _lost(self) -> None:
        """What is not acknowledged goes to the next consumer, in order: what has not gone out must not go out
        from here.
        """
        self._generation += 1
        self._screening.lost()
        self._inbound.clear()

    async def _run(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while self._inbound and not self._stopping:
                await self._take(self._inbound.popleft())

    def _tried(self, delivery: Delivery) -> None:
        """Do all of a delivery that can fail, without any effect."""
        if not self._holds.is_list(delivery):
            self._checked(delivery)
            return
        entries = split_list(delivery.body, max_bytes=self._max_bytes)
        if not isinstance(entries, str):
            for entry in entries:
                self._parsed_entry(entry)

    def _parsed_entry(self, entry: bytes) -> Parsed:
        return parse_entry(entry, now_us=self._clock.wall_us(), max_bytes=self._max_bytes)

    def _checked(self, delivery: Delivery) -> Parsed:
        """Return what a delivery becomes, or why it becomes nothing."""
        return self._holds.parsed(delivery, self._clock.wall_us(), self._max_bytes)

    async def _poison(self, delivery: Delivery, reason: str) -> None:
        """Set aside what would end this router."""
        await self._keep([Refused(delivery, reason, delivery, delivery.body)])

    async def _take(self, delivery: Delivery) -> None:
        """Check what one delivery brings and put it on its way; waits where that way is full."""
        generation = self._generation
        if not self._holds.is_list(delivery):
            found = _guarded(lambda: self._checked(delivery))
            await self._put(found, Refused(delivery, "", delivery, delivery.body), generation)
            return
        entries = _guarded(lambda: split_list(delivery.body, max_bytes=self._max_bytes))
        if isinstance(entries, str):
            await self._put(entries, Refused(delivery, "", delivery, delivery.body), generation)
            return
        settling = DeliverySettlement(delivery, len(entries))
        for index, entry in enumerate(entries):
            if generation != self._generation:
                return  # the next consumer is given the whole list
            found = _guarded(partial(self._parsed_entry, entry))
            await self._put(found, Refused(delivery, "", settling, entry, index), generation)

    async def _put(self, found: Parsed | str, source: Refused, generation: int) -> None:
        """Put one notification on its way to its shard, or aside with its reason."""
        found = Parsed(found) if isinstance(found, str) else found
        made = found.made
        address = _reply_address(source)
        if isinstance(made, str):
            if address is not None:
                self._receipts.refused(address, made)
            refused = replace(source, reason=made)
            while not self._refused.offer(refused, len(refused.body)):
                await self._refused.flush()
            return
        if not made.id:
            made = msgspec.structs.replace(made, id=f"{INTERNAL_ID}{self._context.id}.{next(self._numbers)}")
        if made.receipt and address is not None:
            made = msgspec.structs.replace(made, asker=self._context.id)
            self._receipts.expect(made.room, made.id, address, made.receipt)
        shard = shard_of(made.room, self._topology.shards)
        hop = self._tracing.entry(found.traceparent, HopKind.NOTIFY, message_id=made.id)
        batcher = self._batchers.get(shard)
        if batcher is None:
            batcher = self._batchers[shard] = self._batcher(shard)
        taken, size = (made, source.settled, hop, generation), size_of(made)
        while not batcher.offer(taken, size):
            await batcher.flush()

    def _batcher(self, shard: int) -> Batcher[Taken]:
        async def send(batch: Sequence[Taken]) -> None:
            await self._send(shard, batch)

        return Batcher(
            send, self._limits, lambda count: self._metrics.batch_size(self._holds.name, count), self._pace
        )

    async def _send(self, shard: int, batch: Sequence[Taken]) -> None:
        """Publish a batch to its shard until that is confirmed, then acknowledge its notifications."""
        current = self._generation
        messages = [(message, hop) for message, _, hop, generation in batch if generation == current]
        if await write_messages(self._context, shard, messages, lambda: self._generation == current):
            self._metrics.notifications(len(messages))
            for _, settled, _, _ in batch:
                settled.ack()  # does nothing for those of a lost channel

    async def _keep(self, batch: Sequence[Refused]) -> None:
        """Set invalid ones aside, then acknowledge them."""
        for refused in batch:
            delivery, reason = refused.delivery, refused.reason
            properties = delivery.properties
            more: dict[str, HeaderValue] = {KEY_HEADER: delivery.routing_key}
            if refused.index is not None:  # an entry of a list; its body says where it was meant to go
                properties = replace(properties, content_type=JSON_TYPE)
                more[INDEX_HEADER] = refused.index
            try:
                await self._dead_letters.put(refused.body, reason, properties, more)
            except Exception as error:  # noqa: BLE001 - ours; the broker sets it aside, and it holds no place of the prefetch
                event(_logger, "aside_failed", level=logging.ERROR, reason=reason, error=error)
                refused.settled.reject(requeue=False)
            else:
                refused.settled.ack()


def _reply_address(source: Refused) -> ReplyAddress | None:
    """Return where a single notification's receipt goes; None where it asks for none. Entries of a list have
    none.
    """
    properties = source.delivery.properties
    if source.index is not None or not properties.reply_to or properties.headers.get("receipt") is None:
        return None
    return ReplyAddress(properties.reply_to, properties.correlation_id)


def _guarded(check: Callable[[], T]) -> T | str:
    """Return what a check finds, or that it failed; one notification must not end all of them, here and at
    the next router.
    """
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - ours
        event(_logger, "check_failed", level=logging.ERROR, error=error)
        return f"internal: {type(error).__name__}"
