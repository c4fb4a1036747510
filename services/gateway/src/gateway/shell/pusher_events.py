"""PusherEvents: what a gateway tells the webhooks of Pusher apps: each event is one persistent message on the
events exchange, sent again until the broker has it. Routers send the webhooks.

What waits is bounded; beyond that the newest are dropped and counted. It decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed
from warren.metrics import GatewayMetrics
from warren.pusher.gateway_events import GatewayEvent
from warren.retry import Backoff
from warren.topology import Topology

WAITING_COUNT: Final = 8_192
WAITING_BYTES: Final = 8 * 1024 * 1024
AT_ONCE: Final = 128
AGAIN_FIRST_S: Final = 0.1
AGAIN_LAST_S: Final = 5.0
_encoder: Final = msgspec.json.Encoder()


class PusherEvents:
    """One gateway's."""

    def __init__(self, bus: Bus, topology: Topology, metrics: GatewayMetrics) -> None:
        """Nothing is to be told yet."""
        self._bus = bus
        self._topology = topology
        self._metrics = metrics
        limits = BatchLimits(batch_count=AT_ONCE, waiting_count=WAITING_COUNT, waiting_bytes=WAITING_BYTES)
        self._batcher: Batcher[tuple[GatewayEvent, bytes]] = Batcher(self._send, limits)
        metrics.waiting_from("pusher_events", lambda: self._batcher.waiting)

    def put(self, event: GatewayEvent) -> None:
        """Have this told."""
        body = _encoder.encode(event)
        if not self._batcher.offer((event, body), len(body)):
            self._metrics.drops("pusher_event_overflow")

    async def close(self) -> None:
        """Give up what waits."""
        await self._batcher.close()

    async def _send(self, batch: Sequence[tuple[GatewayEvent, bytes]]) -> None:
        waiting, backoff = list(batch), Backoff(AGAIN_FIRST_S, AGAIN_LAST_S)
        while waiting:
            outcomes = await asyncio.gather(*(self._publish(*each) for each in waiting))
            waiting = [each for each, done in zip(waiting, outcomes, strict=True) if not done]
            if waiting:
                await asyncio.sleep(backoff.next())

    async def _publish(self, event: GatewayEvent, body: bytes) -> bool:
        properties = Properties(content_type="application/json", message_id=event.event_id)
        try:
            await self._bus.publish(
                self._topology.events, self._topology.pusher_event(event.event), body, properties
            )
        except (BusUnavailable, NotConfirmed):
            return False
        return True
