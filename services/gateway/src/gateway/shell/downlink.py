"""Downlink: the gateway's own queue ▶ hub ▶ outboxes, and answers ▶ the session that they are for.

The queue is exclusive and named anew for each connection to the broker. A body is dealt with whole and then acknowledged;
whatever is no envelope in it is counted, logged and passed over. While our own lease is over nothing is taken but what routers ask.
It never waits, and never raises into the bus. It decides nothing: the hub says who gets what, the sessions what to say.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.hub import Delivered, Hub
from gateway.core.lease import Lease
from gateway.core.session import Reply
from gateway.shell.announcer import Announcer
from gateway.shell.connection import Connection
from gateway.shell.gaps import Gaps
from gateway.shell.uplink import Uplink
from warren import envelope
from warren.address import shard_of
from warren.bus import Bus, Delivery, Source, Subscription
from warren.clock import Clock
from warren.errors import CloseCode, MalformedEnvelope
from warren.logs import event, get_logger
from warren.metrics import GatewayMetrics
from warren.position import Position
from warren.telemetry import RECIPIENTS, SEQ, Hop, HopKind, Tracing, trace_id
from warren.topology import Topology

PREFETCH = 64

_log = get_logger("gateway.downlink")


class Downlink:
    """The gateway's way down."""

    def __init__(
        self,
        gateway: str,
        bus: Bus,
        topology: Topology,
        clock: Clock,
        metrics: GatewayMetrics,
        tracing: Tracing,
        hub: Hub,
        uplink: Uplink,
        announcer: Announcer,
        lease: Lease,
        gaps: Gaps,
        *,
        on_asked: Callable[[int | None], None],
    ) -> None:
        """``on_asked(shard)``: answers to what was asked of this shard before may never come; None: of every shard."""
        self._gateway = gateway
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing
        self._hub = hub
        self._uplink = uplink
        self._announcer = announcer
        self._lease = lease
        self._gaps = gaps
        self._on_asked = on_asked
        self._subscription: Subscription | None = None

    @property
    def active(self) -> bool:
        """Whether our queue is being consumed now."""
        return self._subscription is not None and self._subscription.active

    @property
    def queue(self) -> str:
        """Our queue's name at present; "" where it is not consumed."""
        return self._subscription.queue if self._subscription is not None and self.active else ""

    def renew(self) -> None:
        """Consume anew under another name: nothing may reach our queue any more, and what lies in it is old."""
        if self._subscription is not None:
            self._subscription.renew()

    async def start(self) -> None:
        """Consume our queue for as long as the bus lives."""
        self._subscription = await self._bus.subscribe(
            self._source, self._take, prefetch=PREFETCH, on_start=self._begun
        )

    async def stop(self) -> None:
        """End; the queue goes with its consumer."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def _source(self) -> Source:
        queue, bindings = self._topology.gateway_queue(self._gateway, secrets.token_hex(4))
        return Source(queue, bindings)

    def _begun(self) -> None:
        self._announcer.returned()
        self._on_asked(None)

    def _take(self, delivery: Delivery) -> None:
        try:
            self._announcer.check()
            self._spread(self._open(delivery.body))
        except Exception as error:  # noqa: BLE001 - one body must not end the consumer
            self._metrics.drops("downlink_failed")
            event(_log, "downlink_failed", level=logging.ERROR, error=error)
        finally:
            delivery.ack()

    def _open(self, body: bytes) -> Sequence[envelope.Envelope]:
        try:
            return envelope.decode(body)
        except MalformedEnvelope as error:
            return self._open_each(body, error)

    def _open_each(self, body: bytes, reason: MalformedEnvelope) -> list[envelope.Envelope]:
        try:
            parts = envelope.decode_each(body)
        except MalformedEnvelope as error:
            parts, reason = [error], error
        good = [part for part in parts if not isinstance(part, MalformedEnvelope)]
        self._metrics.drops("malformed", len(parts) - len(good))
        event(_log, "malformed_envelope", level=logging.WARNING, count=len(parts) - len(good), reason=str(reason))
        return good

    def _spread(self, envelopes: Sequence[envelope.Envelope]) -> None:
        """Deal with envelopes in their order; messages that follow each other go to the hub together.

        ACKs between them don't part them: they are told behind them, in their order, so that a room's burst is joined once.
        """
        if not envelopes:
            return  # our own knock
        self._metrics.batch_size("downlink", len(envelopes))
        run: list[envelope.Deliver] = []
        acks: list[envelope.Ack] = []
        for item in envelopes:
            if isinstance(item, envelope.Deliver):
                if self._admits(item.room):
                    run.append(item)
                continue
            if isinstance(item, envelope.Ack):
                if self._admits(item.room):
                    acks.append(item)
                continue
            if run or acks:
                self._deliver(run, acks)
                run, acks = [], []
            match item:
                case envelope.Joined() | envelope.Left() | envelope.HistoryPage():
                    if self._admits(item.room) and self._counts(item.room, item.term):
                        self._answer(item)
                case envelope.Refused():
                    self._answer(item)
                case envelope.Resync():
                    if self._admits(item.room) and self._counts(item.room, item.term):
                        self._resync(item.room, item.position)
                case envelope.Ask():
                    self._announcer.answer(item)
                    self._on_asked(item.shard)
                    self._gaps.renew(item.shard, self._clock.monotonic())
                case _:
                    self._metrics.drops("misplaced")
        if run or acks:
            self._deliver(run, acks)

    def _admits(self, room: str) -> bool:
        """Say whether anything of this room's shard may be taken now."""
        if not self._lease.suspended or self._lease.admits(shard_of(room, self._topology.shards)):
            return True
        self._metrics.drops("suspended")
        return False

    def _counts(self, room: str, term: int) -> bool:
        if self._hub.admits(room, term):
            return True
        self._metrics.drops("fenced")
        return False

    def _answer(self, reply: Reply) -> None:
        if isinstance(reply, envelope.Joined) and not reply.ref:
            # Nobody asked: it says something new only where the room's log began a new life.
            standing = self._hub.standing(reply.room, reply.conn)
            if standing is not None and standing.epoch == reply.position.epoch:
                return
        if isinstance(reply, envelope.Refused):
            self._uplink.answered(reply.conn, reply.ref)
        connection = self._find(reply.conn)
        if connection is not None:
            connection.answer(reply)

    def _acknowledge(self, ack: envelope.Ack, woken: dict[Connection, None]) -> None:
        """Put an ACK on its sender's outbox."""
        if not self._counts(ack.room, ack.term):
            return
        if not self._uplink.answered(ack.conn, ack.id) and ack.again:
            return  # the first one was not lost after all
        connection = self._find(ack.conn)
        if connection is not None:
            connection.acknowledged(ack)
            woken[connection] = None

    def _deliver(self, run: list[envelope.Deliver], acks: list[envelope.Ack]) -> None:
        """Give out messages, and the ACKs that came between them; whoever gets several things gets them in one write."""
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
            self._gaps.noticed({gap.room for gap in delivered.gaps}, self._clock.monotonic())

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
                if deliver.to and (connection := self._find(deliver.to)) is not None:
                    connection.caught_up(envelope.size_of(deliver))
                metrics.messages_out(deliver.type, recipients)
                trace = trace_id(deliver.trace) if deliver.trace else ""
                metrics.hop_seconds("end_to_end", (now_us - deliver.at_us) / 1e6, trace)
        for reason, count in (
            ("repeat", delivered.repeats),
            ("fenced", delivered.fenced),
            ("expired", delivered.expired),
            ("ephemeral", delivered.dropped),
            ("early", delivered.early),
        ):
            if count:
                metrics.drops(reason, count)
        metrics.hop_seconds("downlink", (self._clock.wall_us() - now_us) / 1e6)

    def _resync(self, room: str, position: Position) -> None:
        """Put a room to a position, and tell those to whom something before it may be lost."""
        told = self._hub.resync(room, position)
        event(_log, "resync", level=logging.WARNING if told else logging.DEBUG, shard_room=room, members=len(told))
        for conn in told:
            connection = self._find(conn)
            if connection is not None:
                connection.resynced(room, position)

    def _find(self, conn: str) -> Connection | None:
        member = self._hub.find(conn)
        return member if isinstance(member, Connection) else None
