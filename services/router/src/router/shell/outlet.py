"""Outlet: what leaves for the gateways. One batcher for each gateway and one for all of them; confirmed, mandatory, not persistent.

Best effort: what is returned or not confirmed is sent again a few times (gateways drop a seq that they have seen), then the gateway is
suspected, which has it asked what it lacks; to a suspected one everything is tried once only, so that it holds up nobody for long. While the
broker is away it waits. It never reorders what goes to one gateway. A full buffer makes the shards wait. The workers call it, one plan
at a time each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from router.core.plan import Plan
from router.shell.steady import FIRST_PAUSE_S, LONGEST_PAUSE_S, Steady
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bus import Bus, Properties
from warren.clock import Clock
from warren.envelope import CONTENT_TYPE, Deliver, Envelope, encode, size_of
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.metrics import RouterMetrics
from warren.telemetry import SEQ, Hop, HopKind, Tracing
from warren.topology import ALL, Topology

# How long nothing but what is addressed to everyone goes out by the key for all, after the broker did not confirm one: a dead
# node's gateway queue that is still bound makes every such publish fail.
DISTRUST_S = 10.0
# A nack says that nobody knows; a return, that nobody is there: the gateway may be back in a moment, but is asked then anyway.
NACKS, RETURNS = 3, 2
_PROPERTIES = Properties(content_type=CONTENT_TYPE)


class Outlet:
    """The way to the gateways."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        steady: Steady,
        clock: Clock,
        metrics: RouterMetrics,
        tracing: Tracing,
        limits: BatchLimits,
        *,
        living: Callable[[], frozenset[str]],
        suspect: Callable[[str], None],
        suspected: Callable[[str], bool],
    ) -> None:
        """``living`` are the gateways known to live; ``suspect`` is told of one that could not be reached; ``suspected`` says
        whether that is so of one already.
        """
        self._bus = bus
        self._topology = topology
        self._steady = steady
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing
        self._limits = limits
        self._living = living
        self._suspect = suspect
        self._suspected = suspected
        self._batchers: dict[str, Batcher[Envelope]] = {}
        self._distrusted_until = float("-inf")
        metrics.waiting_from("egress", lambda: sum(batcher.waiting for batcher in self._batchers.values()))

    @property
    def whole(self) -> bool:
        """Whether a message for every gateway may go out once, by the key for all."""
        return self._clock.monotonic() >= self._distrusted_until

    async def send(self, plan: Plan) -> None:
        """Send a plan; return once each part is confirmed or given up."""
        hops: list[Hop] = []
        batchers = []
        if plan.every:
            batchers.append(await self._offer(ALL, plan.every, hops))
        for gateway, envelopes in plan.each.items():
            batchers.append(await self._offer(gateway, envelopes, hops))
        try:
            for batcher in batchers:
                await batcher.barrier()
        finally:
            for hop in hops:
                hop.end()

    def tidy(self) -> None:
        """Forget the batchers that have nothing to do and whose gateway is not known to live."""
        living = self._living()
        for key in [key for key, batcher in self._batchers.items() if not batcher.waiting and key not in living]:
            del self._batchers[key]

    async def close(self) -> None:
        """Give up what waits."""
        for batcher in list(self._batchers.values()):
            await batcher.close()

    async def _offer(self, key: str, envelopes: Iterable[Envelope], hops: list[Hop]) -> Batcher[Envelope]:
        batcher = self._batchers.get(key)
        if batcher is None:
            batcher = self._batchers[key] = self._batcher(key)
        for envelope in envelopes:
            if isinstance(envelope, Deliver) and envelope.trace:
                envelope = self._traced(envelope, key, hops)
            size = size_of(envelope)
            while not batcher.offer(envelope, size):
                await batcher.barrier()
        return batcher

    def _traced(self, message: Deliver, key: str, hops: list[Hop]) -> Deliver:
        """Open the span of a sampled message's way to one gateway."""
        hop = self._tracing.hop(HopKind.PUBLISH_EGRESS, message.trace, message_id=message.id, key=key)
        if hop is None:
            return message
        if message.seq:
            hop.set(SEQ, message.seq)
        hops.append(hop)
        return msgspec.structs.replace(message, trace=hop.traceparent)

    def _batcher(self, key: str) -> Batcher[Envelope]:
        async def send(envelopes: Sequence[Envelope]) -> None:
            await self._send(key, envelopes)

        return Batcher(send, self._limits, lambda count: self._metrics.batch_size("egress", count))

    async def _send(self, key: str, envelopes: Sequence[Envelope]) -> None:
        self._metrics.delivered("all" if key == ALL else "one", len(envelopes))
        body = encode(envelopes)
        outcome = await self._publish(key, body)
        if outcome is None:
            return
        self._metrics.rejected(outcome, len(envelopes))
        if key != ALL:
            self._suspect(key)
        elif outcome == "egress_not_confirmed":
            # Some gateway's queue did not take it, and nobody knows which: each gets it by itself, who has it drops it.
            self._distrusted_until = self._clock.monotonic() + DISTRUST_S
            living = sorted(self._living())
            outcomes = await asyncio.gather(*(self._publish(gateway, body) for gateway in living))
            for gateway, failed in zip(living, outcomes, strict=True):
                if failed is not None:
                    self._suspect(gateway)

    async def _publish(self, key: str, body: bytes) -> str | None:
        """Publish; None once it is confirmed, else why it was given up."""
        pause, nacks, returns = FIRST_PAUSE_S, 0, 0
        while True:
            try:
                await self._bus.publish(self._topology.egress, key, body, _PROPERTIES, mandatory=True, persistent=False)
            except Unroutable:
                returns += 1
                if returns >= RETURNS or self._suspected(key):
                    return "egress_unroutable"
            except NotConfirmed:
                nacks += 1
                if nacks >= NACKS or self._suspected(key):
                    return "egress_not_confirmed"
            except BusUnavailable:
                pass  # nothing was sent
            else:
                return None
            await self._steady.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)
