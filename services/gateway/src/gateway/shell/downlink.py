"""Downlink: the gateway's own queue ▶ each shard's chain of feeds ▶ hub and sessions.

The queue is exclusive and named anew for each connection to the broker. A body is dealt with whole and then
acknowledged; whatever is no envelope in it is counted, logged and passed over. A gap in a chain is asked for,
and there is no other recovery: what is lost on the way, with a queue or while this process stood still comes
with the next feed. Where our life on a shard is over, or a part of its chain is not to be had any more, the
members join again. It never waits, and never raises into the bus. It decides nothing:
``core/feed_positions.py`` says what is next, the hub who gets what, the sessions what to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.feed_positions import FeedPositions, Kind
from gateway.core.feed_timeouts import FeedTimeouts
from gateway.core.hub import Delivered, Hub
from gateway.core.session import Reply
from gateway.shell.connection import Connection
from gateway.shell.in_flight_publish import LEAVE, MESSAGE
from gateway.shell.room_reads import RoomReads
from gateway.shell.router_requests import RouterRequests
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.clock import Clock
from warren.errors import CloseCode
from warren.heartbeat import HeartbeatLoop
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.telemetry import RECIPIENTS, SEQ, Hop, HopKind, Tracing, trace_id
from warren.topology import Topology

# Bodies of our own queue that are on their way at a time.
PREFETCH = 64
# Where a part of a chain could not be given out, its shard's members join again after this.
HEAL_S = 1.0
# Where no router has said anything for so long there is none: then no life is begun anew for want of feeds.
ROUTERS_S = 10.0

_log = get_logger("gateway.downlink")


class Downlink:
    """The gateway's way down."""

    def __init__(
        self,
        gateway: str,
        own_queue: OwnQueue,
        heartbeat: HeartbeatLoop,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        tracing: Tracing,
        hub: Hub,
        uplink: Uplink,
        routers: RouterRequests,
        reads: RoomReads,
        *,
        on_rejoin: Callable[[int], None],
    ) -> None:
        """``on_rejoin(shard)``: the members of this shard have to join again."""
        self._gateway = gateway
        self._own_queue = own_queue
        self._heartbeat = heartbeat
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing
        self._hub = hub
        self._uplink = uplink
        self._routers = routers
        self._reads = reads
        self._on_rejoin = on_rejoin
        self._positions = [
            FeedPositions(gateway, shard, uplink.life(shard)) for shard in range(topology.shards)
        ]
        self._watches = [FeedTimeouts(clock.monotonic()) for _ in range(topology.shards)]
        self._heard_at = float("-inf")  # when a router has said anything last
        # shards of whose chain a part could not be given out ▶ when that is mended
        self._spoilt: dict[int, float] = {}

    def lacking(self) -> list[int]:
        """Return the shards that have given no feed in our present life there."""
        return [shard for shard, positions in enumerate(self._positions) if positions.mine is None]

    async def start(self) -> None:
        """Consume our queue for as long as the bus lives."""
        await self._own_queue.start(self)

    async def stop(self) -> None:
        """End; the queue goes with its consumer."""
        await self._own_queue.stop()

    def tick(self, now: float) -> None:
        """Ask for the feeds that are missing, or have not come for long."""
        for shard in [shard for shard, due in self._spoilt.items() if due <= now]:
            del self._spoilt[shard]
            self._uplink.ask_again(shard)
            self._on_rejoin(shard)
        if not self._own_queue.active:
            return
        routers = now - self._heard_at < ROUTERS_S
        for shard, watch in enumerate(self._watches):
            if not self._uplink.begun(shard):
                continue
            if watch.barren(now, fed=self._positions[shard].mine is not None or not routers):
                self.begin_anew(shard)
            elif watch.due(now):
                self._ask(shard, everyone=not watch.has_gap)

    def begin_anew(self, shard: int) -> None:
        """End our life on a shard by ourselves: what stands of us there may be wrong."""
        self._end_life(shard, self._uplink.life(shard), None)

    # ── our own queue ───────────────────────────────────────────────────────────────────────────────────────

    def begun(self) -> None:
        """Our queue is consumed anew: say where we stand on each shard, since what was sent to the old one is
        lost, and tell the routers its name.
        """
        now = self._clock.monotonic()
        for shard, watch in enumerate(self._watches):
            if self._uplink.begun(shard):
                watch.asked(now)
                self._ask(shard, everyone=True)
        self._heartbeat.soon()

    def lost(self) -> None:
        """Our queue is not consumed any more. What is missing then is asked for when it is consumed anew."""

    def malformed(self, reason: str) -> None:
        """Count and log what is no envelope."""
        self._metrics.drops("malformed")
        event(_log, "malformed_envelope", level=logging.WARNING, reason=reason)

    def failed(self, error: Exception) -> None:
        """Count and log what could not be dealt with."""
        self._metrics.drops("downlink_failed")
        event(_log, "downlink_failed", level=logging.ERROR, error=error)

    def take(self, envelopes: Sequence[envelope.Envelope]) -> None:
        """Deal with envelopes in their order. A body without any is a probe of our own."""
        if envelopes:
            self._heard_at = self._clock.monotonic()
        for item in envelopes:
            match item:
                case envelope.Feed():
                    if self._knows(item.shard):
                        self._feed(item)
                case envelope.Bodies():
                    if self._knows(item.shard):
                        self._positions[item.shard].put(item)
                case envelope.Page():
                    self._reads.page(item)
                case envelope.HistoryPage():
                    self._reads.history_page(item)
                case envelope.Refused():
                    self._answer(item)
                case envelope.Speaker():
                    if self._knows(item.shard):
                        self._speaks(item)
                case envelope.LifeEnded():
                    if self._knows(item.shard):
                        self._end_life(item.shard, item.life, item.counted)
                case envelope.Reset():
                    if self._knows(item.shard):
                        self._reset(item)
                case _:
                    self._metrics.drops("misplaced")

    def _ask(self, shard: int, *, everyone: bool = False) -> None:
        """Say where we stand on a shard, so that we are fed from there."""
        self._routers.ask(shard, self._positions[shard].number(), everyone=everyone)

    def _knows(self, shard: int) -> bool:
        if 0 <= shard < len(self._positions):
            return True
        self._metrics.drops("misplaced")
        return False

    # ── the chain ───────────────────────────────────────────────────────────────────────────────────────────

    def _feed(self, feed: envelope.Feed) -> None:
        shard, now = feed.shard, self._clock.monotonic()
        verdict = self._positions[shard].judge(feed)
        if verdict.kind is Kind.OTHER:
            self._metrics.drops("other_life")
            return
        self._routers.heard(shard, feed.router)
        if verdict.kind is Kind.FOREIGN:
            self._end_life(shard, feed.life, 0)
            return
        if verdict.items:
            try:
                self._apply(verdict.items)
            except Exception as error:  # noqa: BLE001 - our number has moved on: the rest of these comes by what mends it
                self.failed(error)
                self._spoilt.setdefault(shard, now + HEAL_S)
        if verdict.kind is Kind.GAP:
            self._metrics.feed_gaps()
            if self._watches[shard].gap(now):
                event(_log, "feed_gap", level=logging.DEBUG, shard=shard, router=feed.router)
                self._ask(shard)
            return
        if verdict.kind is Kind.REPEAT and feed.items:
            self._metrics.drops("repeat", len(feed.items))
        self._watches[shard].fed(now)
        self._uplink.counted(shard, feed.life, verdict.counted)

    def _speaks(self, speaker: envelope.Speaker) -> None:
        """Answer a router that speaks for a shard from now on; what the former one was asked it may never
        have heard.
        """
        shard = speaker.shard
        self._routers.heard(shard, speaker.router)
        if self._uplink.begun(shard):
            self._watches[shard].asked(self._clock.monotonic())
            self._ask(shard)
        self._reads.renew(shard)

    def _end_life(self, shard: int, life: int, counted: int | None) -> None:
        """End our life on a shard, and have its members join again; nothing where it is over already."""
        if not self._uplink.life_ended(shard, life, counted):
            return
        self._bus.stream_remade(self._topology.log(shard).name)  # it may be why the life is over
        self._metrics.lives_ended()
        event(_log, "life_ended", level=logging.WARNING, shard=shard, life=life, counted=counted)
        self._positions[shard].begin(self._uplink.life(shard))
        self._watches[shard].anew(self._clock.monotonic())
        self._on_rejoin(shard)

    def _reset(self, reset: envelope.Reset) -> None:
        """Go on from another place of the log: what lies between is not to be had as a feed any more."""
        shard = reset.shard
        positions = self._positions[shard]
        if reset.life != positions.life:
            self._metrics.drops("other_life")
            return
        self._routers.heard(shard, reset.router)
        if positions.mine is not None and positions.mine.life != reset.upto.life:
            self._end_life(shard, reset.life, 0)
            return
        if not positions.reset(reset):
            return  # it was answered before
        self._metrics.resets()
        event(_log, "feed_reset", level=logging.WARNING, shard=shard, router=reset.router)
        self._watches[shard].fed(self._clock.monotonic())
        self._uplink.counted(shard, reset.life, reset.counted)
        self._uplink.ask_again(shard)
        self._on_rejoin(shard)

    # ── what the chain brings ───────────────────────────────────────────────────────────────────────────────

    def _apply(self, items: Sequence[envelope.Item]) -> None:
        """Deal with items in their order; messages that follow each other go to the hub together.

        ACKs between them don't part them: they are told behind them, in their order, so that a room's burst
        is joined once.
        """
        self._metrics.batch_size("downlink", len(items))
        run: list[envelope.Deliver] = []
        acks: list[envelope.Ack] = []
        for item in items:
            if isinstance(item, envelope.Deliver):
                run.append(item)
                continue
            if isinstance(item, envelope.Ack):
                acks.append(item)
                continue
            if run or acks:
                self._deliver(run, acks)
                run, acks = [], []
            if isinstance(item, envelope.Entered):
                self._reads.entered(item)
            elif isinstance(item, envelope.Left | envelope.Refused):
                self._answer(item)
        if run or acks:
            self._deliver(run, acks)

    def _answer(self, reply: Reply) -> None:
        if isinstance(reply, envelope.Refused):
            self._uplink.refused(reply.conn, reply.ref)
        elif isinstance(reply, envelope.Left):
            self._uplink.answered(reply.conn, reply.ref, reply.room, LEAVE)
        connection = self._find(reply.conn)
        if connection is not None:
            connection.answer(reply)

    def _acknowledge(self, ack: envelope.Ack, woken: dict[Connection, None]) -> None:
        """Put an ACK on its sender's outbox."""
        self._uplink.answered(ack.conn, ack.id, ack.room, MESSAGE)
        connection = self._find(ack.conn)
        if connection is not None:
            connection.acknowledged(ack)
            woken[connection] = None

    def _deliver(self, run: list[envelope.Deliver], acks: list[envelope.Ack]) -> None:
        """Give out messages, and the ACKs that came between them; whoever gets several things gets them in
        one write.
        """
        now_us = self._clock.wall_us()
        hops = self._hops(run)
        delivered = self._hub.deliver(run, now_us // 1_000)
        woken = dict.fromkeys(member for member in delivered.woken if isinstance(member, Connection))
        for ack in acks:
            self._acknowledge(ack, woken)
        for connection in woken:
            connection.flush()
        for member in delivered.too_slow:
            if isinstance(member, Connection):
                member.end(CloseCode.TOO_SLOW)
        self._count(run, delivered, now_us)
        for index, hop in hops:
            hop.set(RECIPIENTS, delivered.recipients[index])
            hop.end()
        if delivered.gaps:
            self._reads.behind(delivered.gaps)

    def _hops(self, run: list[envelope.Deliver]) -> list[tuple[int, Hop]]:
        """Open the spans of sampled messages, and put each one's context where the client sees it."""
        hops: list[tuple[int, Hop]] = []
        for index, deliver in enumerate(run):
            if not deliver.trace:
                continue
            hop = self._tracing.hop(HopKind.DELIVER, deliver.trace, message_id=deliver.id, batch=len(run))
            if hop is not None:
                if deliver.seq:
                    hop.set(SEQ, deliver.seq)
                run[index] = msgspec.structs.replace(deliver, trace=hop.traceparent)
                hops.append((index, hop))
        return hops

    def _count(self, run: Sequence[envelope.Deliver], delivered: Delivered, now_us: int) -> None:
        metrics = self._metrics
        for deliver, recipients in zip(run, delivered.recipients, strict=True):
            if recipients:
                metrics.messages_out(deliver.type, recipients)
                trace = trace_id(deliver.trace) if deliver.trace else ""
                metrics.hop_seconds("end_to_end", (now_us - deliver.at_us) / 1e6, trace)
        for reason, count in (
            ("repeat", delivered.repeats),
            ("expired", delivered.expired),
            ("ephemeral", delivered.dropped),
        ):
            if count:
                metrics.drops(reason, count)
        metrics.hop_seconds("downlink", (self._clock.wall_us() - now_us) / 1e6)

    def _find(self, conn: str) -> Connection | None:
        member = self._hub.find(conn)
        return member if isinstance(member, Connection) else None
