"""GatewayHeartbeat: what a gateway says of itself in its heartbeats.

It only reads. ``warren/heartbeat.py`` sends it.
"""

from __future__ import annotations

from gateway.shell.connections import Connections
from warren.clock import Clock
from warren.envelope import Envelope, Heartbeat, Leaving
from warren.log_entries import FOLD_VERSION
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.process_memory import rss_bytes

# Who has sent nothing for so many heartbeats may have been taken for dead.
FROZEN_BEATS = 3


class GatewayHeartbeat:
    """One gateway's."""

    def __init__(
        self,
        gateway: str,
        clock: Clock,
        connections: Connections,
        metrics: GatewayMetrics,
        own_queue: OwnQueue,
        uplink_bytes: int,
    ) -> None:
        """The gateway's life counts from here. ``uplink_bytes`` is what it may have in one shard's log that
        no router has counted.
        """
        self._gateway = gateway
        self._started_us = clock.wall_us()
        self._connections = connections
        self._metrics = metrics
        self._own_queue = own_queue
        self._uplink_bytes = uplink_bytes

    def heartbeat(self) -> Heartbeat:
        """Return the heartbeat of this moment."""
        metrics = self._metrics
        return Heartbeat(
            self._gateway,
            self._started_us,
            connections=len(self._connections),
            messages_in=metrics.total_in,
            messages_out=metrics.total_out,
            errors=metrics.total_errors,
            rss_bytes=rss_bytes(),
            queue=self._own_queue.name,
            uplink_bytes=self._uplink_bytes,
            fold_version=FOLD_VERSION,
            lag_ms=metrics.lag.take(),
        )

    def goodbye(self) -> list[Envelope]:
        """Return what a gateway says whose members have left."""
        return [Leaving(self._gateway)]
