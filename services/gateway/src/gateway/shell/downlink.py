"""Downlink: what routers say to this gateway ▶ hub and connections.

Items of a shard's chain are given out in their order, each once: that is for ``core/broker_presence.py`` to
say. Messages that follow each other go to the hub together, and whoever gets several things gets them in one
write. It never waits and asks nobody. It decides nothing: the hub who gets what, the sessions what to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.hub import Delivered, Hub, Member
from gateway.core.inputs import EndRequested
from gateway.shell.room_reads import RoomReads
from warren import envelope
from warren.clock import Clock
from warren.errors import CloseCode
from warren.metrics import GatewayMetrics
from warren.telemetry import RECIPIENTS, SEQ, Hop, HopKind, Tracing, trace_id


class Downlink:
    """The gateway's way down."""

    def __init__(
        self, hub: Hub, reads: RoomReads, tracing: Tracing, clock: Clock, metrics: GatewayMetrics
    ) -> None:
        """``reads`` give members what they lack."""
        self._hub = hub
        self._reads = reads
        self._tracing = tracing
        self._clock = clock
        self._metrics = metrics

    def give_out(self, items: Sequence[envelope.Item], shard: int) -> None:
        """Give out the items of a shard's chain in their order.

        ACKs between messages don't part them: they are told behind them, in their order, so that a room's
        burst is joined once.
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
                self._deliver(run, acks, shard)
                run, acks = [], []
            if isinstance(item, envelope.Entered):
                self._reads.entered(item, shard)
            elif isinstance(item, envelope.TokensRevoked):
                for member in self._hub.of_user(item.user):
                    member.put(item)
            elif isinstance(item, envelope.Left | envelope.Refused | envelope.Dismissed | envelope.Enrolled):
                self.answer(item)
        if run or acks:
            self._deliver(run, acks, shard)

    def answer(
        self,
        reply: envelope.Left | envelope.Refused | envelope.Dismissed | envelope.Enrolled | envelope.Receipt,
    ) -> None:
        """Hand an answer to the connection that it is for, where that is still here."""
        member = self._hub.find(reply.conn)
        if member is not None:
            member.put(reply)

    def counts(self, query: envelope.CountsQuery, gateway: str) -> envelope.Counts:
        """Answer a router for how many connections of this ``gateway`` a message was what."""
        return self._hub.counts(query, gateway)

    def page(self, page: envelope.Page) -> None:
        """Give out what a router read of a room's history for its members."""
        self._reads.page(page)

    def history_page(self, page: envelope.HistoryPage) -> None:
        """Give a client the answer to its HISTORY."""
        self._reads.history_page(page)

    def renew_reads(self, shard: int) -> None:
        """Ask again for what was asked of a shard's router: another one speaks."""
        self._reads.renew(shard)

    def _deliver(self, run: list[envelope.Deliver], acks: list[envelope.Ack], shard: int) -> None:
        now_us = self._clock.wall_us()
        hops = self._hops(run)
        delivered = self._hub.deliver(run, now_us // 1_000)
        woken: dict[Member, None] = dict.fromkeys(delivered.woken)
        for ack in acks:
            member = self._hub.find(ack.conn)
            if member is not None:
                member.put(ack, write=False)
                woken[member] = None
        for member in woken:
            member.flush()
        for member in delivered.too_slow:
            member.put(EndRequested(CloseCode.TOO_SLOW))
        self._count(run, delivered, now_us)
        for index, hop in hops:
            hop.set(RECIPIENTS, delivered.recipients[index])
            hop.end()
        if delivered.gaps:
            self._reads.behind(delivered.gaps, shard)

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
        if run:
            metrics.lag.note(now_us - run[0].at_us)
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
