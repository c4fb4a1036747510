"""Uplink: envelopes ▶ one batcher for each shard ▶ the ingress exchange, confirmed.

A batch that fails is sent again, the same one in the same order under the same ids, until it is confirmed; a message gives up at
its deadline and its sender is told to send it again, and so is the sender of an id that nobody acknowledged by then. Where an answer
may be lost, the shard's owner is asked for it. Joins and leaves have no deadline: they wait. Buffers are bounded: above half of one,
connections that publish to it are not read while the broker takes batches, and beyond it (or above half while the broker is away or holds
publishers back) a message is refused. It never decides what an envelope means. Connections, the announcer and the drain call it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.shell.sending import Control, Sending
from warren import envelope
from warren.address import shard_of
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.errors import BusUnavailable, NotConfirmed, Overloaded, Unroutable, WarrenError
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.telemetry import Hop
from warren.topology import Topology

# A batch whose fate is not known is sent again after this, doubled each time.
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 1.0
# Joins and leaves may fill a buffer up to so many times its limit for messages.
CONTROL_FACTOR = 4
MAX_UNANSWERED = 65_536
INQUIRY_COUNT = 256  # ids in one envelope

_log = get_logger("gateway.uplink")
_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class UplinkLimits:
    """How much of one shard may wait, how long a message may, how much goes at once, and how often to a busy one."""

    count: int = 16_384
    bytes: int = 16 * 1024 * 1024
    timeout_s: float = 10.0
    batch_count: int = 512
    batch_bytes: int = 256 * 1024
    interval_s: float = 0.0


class _Shard:
    """One shard's buffer and those who wait for place in it."""

    def __init__(self, batcher: Batcher[Sending]) -> None:
        self.batcher = batcher
        self.waiters: dict[asyncio.Future[None], None] = {}

    def release(self) -> None:
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Uplink:
    """The gateway's way up."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        limits: UplinkLimits,
        *,
        on_undelivered: Callable[[str, str, WarrenError], None],
        on_overflow: Callable[[int], None],
        chance: random.Random | None = None,
    ) -> None:
        """``on_undelivered(connection, id, error)``: the fate of this message is not known. ``on_overflow(shard)``: a leave
        found no place, so this shard's router must be told our members anew.
        """
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._on_undelivered = on_undelivered
        self._on_overflow = on_overflow
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._returned = asyncio.Event()
        self._watched: deque[Sending] = deque()  # messages in the order of their deadlines
        self._unanswered: dict[tuple[str, str], Sending] = {}
        batches = BatchLimits(
            batch_count=limits.batch_count,
            batch_bytes=limits.batch_bytes,
            waiting_count=CONTROL_FACTOR * limits.count,
            waiting_bytes=CONTROL_FACTOR * limits.bytes,
            interval_s=limits.interval_s,
        )
        self._shards = [
            _Shard(Batcher(self._sender(shard), batches, lambda count: metrics.batch_size("uplink", count)))
            for shard in range(topology.shards)
        ]
        metrics.waiting_from("uplink", lambda: sum(shard.batcher.waiting for shard in self._shards))
        bus.watch(self._watch)
        bus.watch_blocked(self._watch_blocked)

    def publish(self, up: envelope.Publish, hop: Hop | None = None) -> WarrenError | None:
        """Take a message (and the span of its sending). Returns why not, where it is refused; the caller tells the sender."""
        number = shard_of(up.room, self._topology.shards)
        shard = self._shards[number]
        error: WarrenError | None = None
        if not self._takes and self._is_half_full(shard):
            error = BusUnavailable("the broker takes nothing at present and the buffer is filling")
        elif self._is_full(shard, envelope.size_of(up)):
            error = Overloaded("too many messages wait for the broker")
        now = self._clock.monotonic()
        entry = Sending(up, number, now, now + self._limits.timeout_s, hop)
        if error is None and not shard.batcher.offer(entry, envelope.size_of(up)):
            error = Overloaded("too many messages wait for the broker")
        if error is not None:
            entry.settle(error=error)
            return error
        self._watched.append(entry)
        if entry.id and entry.conn:
            self._await_answer(entry)
        return None

    def join(self, up: envelope.Join) -> bool:
        """Take a join; False where so much waits that the connection had better go (it has not been taken)."""
        return self._control(up.room, up)

    def resume(self, up: envelope.Resume | envelope.HistoryQuery) -> bool:
        """Take what is asked again if it gets no answer; False where there is no place for it."""
        return self._control(up.room, up)

    def leave(self, up: envelope.Leave) -> None:
        """Take a leave."""
        if not self._control(up.rooms[0], up):
            self._metrics.drops("leave_overflow")
            self._on_overflow(shard_of(up.rooms[0], self._topology.shards))

    def answered(self, conn: str, ref: str) -> bool:
        """Take note that a router has answered this message; False where no answer to it is waited for."""
        entry = self._unanswered.pop((conn, ref), None)
        if entry is not None:
            entry.answered = True
        return entry is not None

    def renew(self, shard: int | None) -> None:
        """Ask for the answers to what is confirmed and not answered: they may be lost (None: on every shard).

        The question goes behind the messages that it is about. What is not confirmed yet is asked for when it is: it may be in the shard's
        queue already, and its answer on the way to where we are no more.
        """
        lost: list[Sending] = []
        for entry in self._unanswered.values():
            if shard is None or entry.shard == shard:
                if entry.envelope is None:
                    lost.append(entry)
                else:
                    entry.doubted = True
        self._inquire(lost)

    def crowded(self, room: str) -> bool:
        """Say whether a connection that has just sent to ``room`` should wait for ``place``."""
        return self._takes and self._is_half_full(self._shards[shard_of(room, self._topology.shards)])

    async def place(self, room: str) -> None:
        """Return once the room's shard has place again, or the broker takes nothing any more (then messages are refused instead). May be
        cancelled.
        """
        shard = self._shards[shard_of(room, self._topology.shards)]
        while self._takes and self._is_half_full(shard):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            shard.waiters[waiter] = None
            try:
                await waiter
            finally:
                shard.waiters.pop(waiter, None)

    def expire(self, now: float) -> None:
        """Give up on what has waited too long; call it now and then. Its senders are told."""
        watched = self._watched
        while watched:
            entry = watched[0]
            if entry.waits and entry.deadline > now:
                return
            watched.popleft()
            if entry.waits:
                self._give_up(entry)

    async def flush(self) -> None:
        """Return once all that was offered until now has gone."""
        await asyncio.gather(*(shard.batcher.barrier() for shard in self._shards))

    async def close(self) -> None:
        """Give up on what waits."""
        await asyncio.gather(*(shard.batcher.close() for shard in self._shards))
        for shard in self._shards:
            shard.release()
        for entry in self._watched:
            entry.settle()
        self._watched.clear()
        self._unanswered.clear()

    def _control(self, room: str, up: Control) -> bool:
        number, now = shard_of(room, self._topology.shards), self._clock.monotonic()
        return self._shards[number].batcher.offer(Sending(up, number, now, now), envelope.size_of(up))

    def _inquire(self, entries: Sequence[Sending]) -> None:
        rooms: dict[str, list[tuple[str, str, str]]] = {}
        for entry in entries:
            rooms.setdefault(entry.room, []).append((entry.conn, entry.user, entry.id))
        for room, asked in rooms.items():
            for begin in range(0, len(asked), INQUIRY_COUNT):
                part = tuple(asked[begin : begin + INQUIRY_COUNT])
                if not self._control(room, envelope.Inquiry(room, part)):
                    self._metrics.drops("inquiry_overflow", len(part))  # their senders hear of it at their deadlines

    @property
    def _takes(self) -> bool:
        """Whether the broker is there and holds nobody back."""
        return self._bus.up and not self._bus.blocked

    def _make_place(self, shard: _Shard) -> None:
        if not self._is_half_full(shard):
            shard.release()

    def _is_half_full(self, shard: _Shard) -> bool:
        return shard.batcher.waiting * 2 > self._limits.count or shard.batcher.waiting_bytes * 2 > self._limits.bytes

    def _is_full(self, shard: _Shard, size: int) -> bool:
        batcher = shard.batcher
        return batcher.waiting >= self._limits.count or batcher.waiting_bytes + size > self._limits.bytes

    def _await_answer(self, entry: Sending) -> None:
        if len(self._unanswered) >= MAX_UNANSWERED:
            # The eldest is forgotten: its sender has a time-out of its own.
            self._unanswered.pop(next(iter(self._unanswered))).answered = True
            self._metrics.drops("unanswered_overflow")
        before = self._unanswered.pop((entry.conn, entry.id), None)
        if before is not None:
            before.answered = True  # sent again under the same id: one answer is enough
        self._unanswered[entry.conn, entry.id] = entry

    def _give_up(self, entry: Sending) -> None:
        error = NotConfirmed("its fate is not known")
        reason = "publish_timeout" if entry.envelope is not None else "answer_timeout"
        if self._unanswered.get((entry.conn, entry.id)) is entry:
            del self._unanswered[entry.conn, entry.id]
        trace_id = entry.hop.trace_id if entry.hop is not None else None
        event(_log, reason, level=logging.DEBUG, connection=entry.conn, id=entry.id, trace_id=trace_id)
        entry.answered = True
        entry.settle(error=error)
        self._metrics.drops(reason)
        self._on_undelivered(entry.conn, entry.id, error)

    def _sender(self, shard: int) -> Callable[[Sequence[Sending]], Awaitable[None]]:
        async def send(entries: Sequence[Sending]) -> None:
            try:
                await self._send(self._topology.shard_key(shard), entries)
            finally:
                # In the next turn: the batcher counts this batch as done only after we return.
                asyncio.get_running_loop().call_soon(self._make_place, self._shards[shard])

        return send

    async def _send(self, key: str, entries: Sequence[Sending]) -> None:
        """Send until it is confirmed; what has given up meanwhile is left out."""
        wait_s = RETRY_FIRST_S
        while live := [(entry, entry.envelope) for entry in entries if entry.envelope is not None]:
            body = envelope.encode([up for _, up in live])
            try:
                await self._bus.publish(self._topology.ingress, key, body, _PROPERTIES, mandatory=True)
            except (BusUnavailable, NotConfirmed, Unroutable) as error:
                if wait_s == RETRY_FIRST_S and not isinstance(error, BusUnavailable):
                    event(_log, "publish_retry", level=logging.WARNING, shard=key, count=len(live), reason=str(error))
                await self._pause(wait_s)
                wait_s = min(RETRY_LAST_S, 2 * wait_s)
                continue
            now = self._clock.monotonic()
            for entry, _ in live:
                trace = entry.hop.trace_id if entry.hop is not None else ""
                self._metrics.hop_seconds("uplink", now - entry.offered_at, trace)
                entry.settle(batch=len(live))
            self._inquire([entry for entry, _ in live if entry.doubted and not entry.answered])
            return

    async def _pause(self, wait_s: float) -> None:
        """Wait a little, but no longer than the broker is away."""
        self._returned.clear()
        try:
            async with asyncio.timeout(wait_s * self._chance.uniform(0.5, 1.5)):
                await self._returned.wait()
        except TimeoutError:
            return

    def _watch(self, up: bool) -> None:
        if up:
            self._returned.set()
        else:
            self._release()

    def _watch_blocked(self, blocked: bool) -> None:
        if blocked:
            self._release()

    def _release(self) -> None:
        for shard in self._shards:
            shard.release()
