"""Uplink: envelopes ▶ one batch under way for each shard ▶ the shard's log, confirmed.

A batch that fails is sent again, the same bytes under the same number, until it is confirmed; a message is
kept until the routers have counted it, and goes again where the gateway's life on the shard was over. A
message gives up at its deadline and its sender is told to send it again, and so is the sender of an id that
nobody acknowledged by then. Joins and leaves have no deadline: they wait, and take each other back meanwhile.
Buffers are bounded, over what is not sent, not confirmed and not counted: above half of one, connections that
publish to it are not read while the broker takes batches, and beyond it (or above half while the broker is
away or holds publishers back) a message is refused. A leave that finds no place ends our life on its shard.
It never decides what an envelope means, and knows nothing of what comes down.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Iterable, Sequence

from gateway.core.batch_numbers import Outgoing
from gateway.core.inputs import Undelivered
from gateway.shell.in_flight_publish import LEAVE, MESSAGE, InFlightPublish
from gateway.shell.uplink_buffer import UplinkBuffer, UplinkLimits
from warren import envelope
from warren.batcher import WORTHWHILE
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.errors import (
    BusUnavailable,
    ErrorCode,
    NotConfirmed,
    Overloaded,
    ProtocolError,
    Unroutable,
    WarrenError,
    code_of,
)
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.retry import Backoff
from warren.supervision import cancel_and_wait, supervised
from warren.telemetry import Hop
from warren.topology import Topology

# A batch whose fate is not known is sent again after this, doubled each time.
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 1.0
MAX_UNANSWERED = 65_536

_log = get_logger("gateway.uplink")
_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)
_GIVEN_UP = NotConfirmed("its fate is not known")
_WITHDRAWN = ProtocolError(ErrorCode.FORBIDDEN, "its sender may not publish to this room any more")


class Uplink:
    """The gateway's way up."""

    def __init__(
        self,
        gateway: str,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        limits: UplinkLimits,
        *,
        chance: random.Random | None = None,
    ) -> None:
        """``limits`` are those of each shard; ``chance`` spreads retries."""
        self._gateway = gateway
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._returned = asyncio.Event()
        self._watched: deque[InFlightPublish] = deque()  # messages in the order of their deadlines
        self._watched_of: dict[str, dict[InFlightPublish, None]] = {}  # the same by connection
        self._unanswered: dict[tuple[str, ...], InFlightPublish] = {}  # by the key of the answer
        self._shards = [UplinkBuffer(number, limits) for number in range(topology.shards)]
        metrics.waiting_from("uplink", lambda: sum(shard.batches.waiting for shard in self._shards))
        metrics.waiting_from("uncounted", lambda: sum(shard.batches.charged for shard in self._shards))
        bus.watch(self._watch)
        bus.watch_blocked(self._watch_blocked)

    def begin(self) -> None:
        """Begin our life on every shard, though nobody has anything to say yet."""
        for shard in self._shards:
            self._kick(shard)

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return len(self._shards)

    def publish(self, up: envelope.Publish, number: int, hop: Hop | None = None) -> WarrenError | None:
        """Send a message (``hop`` is the span of its sending) to the shard of its room. Returns why not,
        where it is refused: its sender has to be told.
        """
        shard = self._shards[number]
        now = self._clock.monotonic()
        entry = InFlightPublish(up, shard.number, now, now + self._limits.timeout_s, hop)
        error: WarrenError | None = None
        if not self._takes and shard.is_half_full:
            error = BusUnavailable("the broker takes nothing at present and the buffer is filling")
        elif shard.is_full(entry.size):
            error = Overloaded("too many messages wait for the broker and the routers")
        if error is not None:
            entry.settle(error=error)
            return error
        shard.batches.offer(entry)
        self._watched.append(entry)
        self._watched_of.setdefault(entry.conn, {})[entry] = None
        self._await_answer(entry)
        self._kick(shard)
        return None

    def unsent(self, conn: str) -> set[str]:
        """Return the rooms of a connection's messages that are not known to have counted."""
        return {
            entry.envelope.room
            for entry in self._watched_of.get(conn, ())
            if isinstance(entry.envelope, envelope.Publish) and not entry.counted
        }

    def withdraw(self, conn: str, room: str) -> list[str]:
        """Send nothing more of what a connection published to a room. Returns the ids of the messages that
        were never sent; what becomes of the others that wait for an answer their sender hears by their
        deadline.
        """
        refs: list[str] = []
        for entry in self._watched_of.get(conn, ()):
            up = entry.envelope
            if isinstance(up, envelope.Publish) and up.room == room:
                shard = self._shards[entry.shard]
                if not shard.batches.withdraw(entry):
                    continue
                if self._unanswered.get(entry.key) is entry:
                    del self._unanswered[entry.key]
                entry.answered = True
                entry.settle(error=_WITHDRAWN)
                self._metrics.drops("withdrawn")
                shard.make_place()
                refs.append(entry.id)
        return refs

    def join(self, up: envelope.Join, number: int, *, first: bool = False) -> bool:
        """Send a join to the shard of its room; False where so much waits that it was not taken, and the
        connection had better go.
        """
        shard, now = self._shards[number], self._clock.monotonic()
        if shard.is_full_of_joins:
            return False
        shard.joins.join(up, InFlightPublish(up, shard.number, now, now), first=first)
        self._kick(shard)
        return True

    def leave(self, up: envelope.Leave, number: int) -> bool:
        """Send a leave to the shard of its rooms; False where no router will answer it: it has taken back a
        join that was never sent, or found no place. Then our life on the shard ends here, and this member is
        in none of the next.
        """
        shard, now = self._shards[number], self._clock.monotonic()
        rest = shard.joins.leave(up)
        if rest is None:
            return False
        if shard.is_full_of_joins:
            self._metrics.drops("leave_overflow")
            self.life_ended(number, shard.batches.life)
            return False
        entry = InFlightPublish(rest, number, now, now)
        shard.joins.left(rest, entry)
        self._await_answer(entry)
        self._kick(shard)
        return True

    def tell(self, up: envelope.Watch | envelope.Inform | envelope.Seen, number: int) -> bool:
        """Send a word about presence, or about what is seen, to the shard of its room; False where it found
        no place. Where somebody watches no more and no router can be told, our life on the shard ends here.
        """
        shard, now = self._shards[number], self._clock.monotonic()
        if shard.watches.take_back(up):
            return True
        if shard.is_full_of_joins:
            if isinstance(up, envelope.Watch) and not up.on:
                self._metrics.drops("leave_overflow")
                self.life_ended(number, shard.batches.life)
            return False
        shard.watches.offer(up, InFlightPublish(up, number, now, now))
        self._kick(shard)
        return True

    def answered(self, items: Iterable[envelope.Item]) -> None:
        """Settle the messages and leaves that are answered by these items.

        A refusal names no room: of several messages of its connection and id it is taken for the eldest's.
        """
        for item in items:
            if isinstance(item, envelope.Ack):
                self._settle((item.conn, item.id, item.room, MESSAGE))
            elif isinstance(item, envelope.Deliver):  # nearly all that are no ACKs
                continue
            elif isinstance(item, envelope.Left):
                self._settle((item.conn, item.ref, item.room, LEAVE))
            elif isinstance(item, envelope.Refused):
                for key in self._unanswered:
                    if key[1] == item.ref and key[0] == item.conn and key[3] == MESSAGE:
                        self._settle(key)
                        break

    def _settle(self, key: tuple[str, ...]) -> None:
        entry = self._unanswered.pop(key, None)
        if entry is not None:
            self._end_wait(entry)

    # ── our life on a shard ─────────────────────────────────────────────────────────────────────────────────

    def life(self, shard: int) -> int:
        """Return the number of our present life on a shard."""
        return self._shards[shard].batches.life

    def begun(self, shard: int) -> bool:
        """Say whether our present life on a shard is known to have begun in its log."""
        return self._shards[shard].batches.begun

    def counted(self, shard: int, life: int, number: int) -> None:
        """Our batches up to ``number`` have counted in this life: they are not sent again."""
        sent = self._shards[shard]
        self._went(sent.batches.count(life, number))
        sent.counted()

    def life_ended(self, shard: int, life: int, counted: int | None = None) -> bool:
        """End this life on a shard, in which the batches up to ``counted`` have counted (None: those that are
        known to), and begin the next one, in which nobody is a member yet; False where it is over already.
        """
        sent = self._shards[shard]
        known = sent.batches.end(life, sent.batches.counted if counted is None else counted)
        if known is None:
            return False
        self._metrics.lives_ended()
        event(_log, "life_ended", level=logging.WARNING, shard=shard, life=life, counted=counted)
        sent.joins.clear()
        sent.watches.clear()
        self._went(known)
        sent.counted()
        self._kick(sent)
        return True

    def ask_again(self, shard: int) -> None:
        """Send again what has counted and waits for an answer: that may be lost, and is given again."""
        sent = self._shards[shard]
        sent.batches.ask_again()
        self._kick(sent)

    async def place_for_joins(self, shard: int) -> None:
        """Return once so few joins and leaves wait that some more members of a shard may join again."""
        await self._shards[shard].place_for_joins()

    # ── backpressure ────────────────────────────────────────────────────────────────────────────────────────

    def crowded(self, number: int) -> bool:
        """Say whether a connection that has just sent to a shard should wait for ``place``."""
        return self._takes and self._shards[number].is_half_full

    async def place(self, number: int) -> None:
        """Return once a shard has place again, or the broker takes nothing (then messages are refused
        instead).
        """
        shard = self._shards[number]
        while self._takes and shard.is_half_full:
            await shard.wait()

    def expire(self, now: float) -> list[tuple[str, Undelivered]]:
        """Give up on what has waited too long; call it now and then. Returns what is to be told to which
        connection: nobody knows what became of its message.
        """
        told: list[tuple[str, Undelivered]] = []
        watched_ones = self._watched
        while watched_ones:
            entry = watched_ones[0]
            if entry.waits and entry.deadline > now:
                break
            watched_ones.popleft()
            self._unwatch(entry)
            if entry.waits and self._give_up(entry):
                told.append((entry.conn, Undelivered(entry.id, code_of(_GIVEN_UP))))
        return told

    async def flush(self) -> None:
        """Return once all that was offered until now has gone."""
        await asyncio.gather(*(shard.idle.wait() for shard in self._shards))

    async def close(self) -> None:
        """Give up on what waits."""
        await cancel_and_wait(*(shard.task for shard in self._shards))
        for shard in self._shards:
            shard.release()
        for entry in self._watched:
            entry.settle()
        self._watched.clear()
        self._watched_of.clear()
        self._unanswered.clear()

    @property
    def _takes(self) -> bool:
        """Whether the broker takes what is published."""
        return self._bus.up and not self._bus.blocked

    def _await_answer(self, entry: InFlightPublish) -> None:
        if not entry.key:
            return
        if len(self._unanswered) >= MAX_UNANSWERED:
            # The eldest is forgotten: its sender has a time-out of its own.
            self._end_wait(self._unanswered.pop(next(iter(self._unanswered))))
            self._metrics.drops("unanswered_overflow")
        before = self._unanswered.pop(entry.key, None)
        if before is not None:
            self._end_wait(before)  # sent again under the same id: one answer is enough
        self._unanswered[entry.key] = entry

    def _end_wait(self, entry: InFlightPublish) -> None:
        shard = self._shards[entry.shard]
        entry.answered = True
        shard.batches.answered(entry)
        shard.make_place()

    def _unwatch(self, entry: InFlightPublish) -> None:
        """Forget that a connection has this entry."""
        own = self._watched_of[entry.conn]
        del own[entry]
        if not own:
            del self._watched_of[entry.conn]

    def _give_up(self, entry: InFlightPublish) -> bool:
        """Give up on a message; return whether its sender is to be told."""
        reason = "answer_timeout" if entry.confirmed else "publish_timeout"
        # Who gave no id is answered nothing: what is in the log comes by itself.
        told = not entry.confirmed or bool(entry.id)
        if self._unanswered.get(entry.key) is entry:
            del self._unanswered[entry.key]
        trace_id = entry.hop.trace_id if entry.hop is not None else None
        event(_log, reason, level=logging.DEBUG, connection=entry.conn, id=entry.id, trace_id=trace_id)
        entry.answered = True
        self._shards[entry.shard].batches.give_up(entry)
        entry.settle(error=_GIVEN_UP)
        self._metrics.drops(reason)
        self._shards[entry.shard].make_place()
        return told

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────────────

    def _kick(self, shard: UplinkBuffer) -> None:
        if shard.task is None:
            shard.idle.clear()
            name = f"uplink-{shard.number}"
            shard.task = supervised(asyncio.get_running_loop().create_task(self._run(shard), name=name))

    async def _run(self, shard: UplinkBuffer) -> None:
        now = asyncio.get_running_loop().time
        try:
            while (batch := shard.batches.next()) is not None:
                count = len(batch.entries)
                if count:
                    self._metrics.batch_size("uplink", count)
                await self._send(shard, batch)
                pause_s = shard.pacer.pause(count, now())
                if pause_s and shard.batches.waiting < WORTHWHILE:
                    await asyncio.sleep(pause_s)
        finally:
            shard.task = None
            shard.idle.set()

    async def _send(self, shard: UplinkBuffer, batch: Outgoing[InFlightPublish]) -> None:
        """Send a batch until it is confirmed, or something of it was given up, or the life that it is of is
        over.
        """
        shard.joins.sent(batch.entries)
        shard.watches.sent(batch.entries)
        backoff, retried = Backoff(RETRY_FIRST_S, RETRY_LAST_S, self._chance.random), False
        body = batch.body(self._gateway, self._clock.wall_us())
        key = self._topology.shard_key(shard.number)
        while shard.batches.is_under_way(batch):
            began = self._clock.monotonic()
            try:
                await self._bus.publish(self._topology.ingress, key, body, _PROPERTIES, mandatory=True)
            except (BusUnavailable, NotConfirmed, Unroutable) as error:
                if not retried and not isinstance(error, BusUnavailable):
                    count, reason = len(batch.entries), str(error)
                    event(_log, "publish_retry", level=logging.WARNING, shard=key, count=count, reason=reason)
                retried = True
                await self._pause(backoff.next())
                shard.batches.failed(batch)
            else:
                if batch.entries:
                    self._metrics.hop_seconds("confirm", self._clock.monotonic() - began)
                self._went(shard.batches.confirmed(batch))

    def _went(self, entries: Sequence[InFlightPublish]) -> None:
        """Count and settle what is in the log."""
        now = self._clock.monotonic()
        for entry in entries:
            trace = entry.hop.trace_id if entry.hop is not None else ""
            self._metrics.hop_seconds("uplink", now - entry.offered_at, trace)
            entry.settle(batch=len(entries))

    async def _pause(self, wait_s: float) -> None:
        """Wait a little, but no longer than the broker is away."""
        self._returned.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._returned.wait()

    def _watch(self, up: bool) -> None:
        if up:
            self._returned.set()
        else:
            self._release()

    def _watch_blocked(self, blocked: bool) -> None:
        if blocked:
            self._release()

    def _release(self) -> None:
        """Let everybody go who waits for place: the broker takes nothing."""
        for shard in self._shards:
            shard.release()
