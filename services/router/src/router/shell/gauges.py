"""Gauges: this router's figures of the moment, as metrics, and a warning where the logs are too small for the
gateways.

It only reads, and decides nothing (``core/log_capacity.py``).
"""

from __future__ import annotations

import logging

from router.core.gateway_leases import Totals
from router.core.log_capacity import LogCapacity
from router.core.peers import Peers
from router.shell.router_context import RouterContext
from router.shell.shards import Shards
from warren.logs import event, get_logger

_logger = get_logger("router.gauges")


class Gauges:
    """One router's."""

    def __init__(self, context: RouterContext, peers: Peers, shards: Shards) -> None:
        """Set them for the first time."""
        self._bus = context.bus
        self._metrics = context.metrics
        self._peers = peers
        self._shards = shards
        self._capacity = LogCapacity(context.topology.limits.kept_bytes)
        context.bus.watch_blocked(self._bus_blocked)
        self.tick()

    def tick(self) -> None:
        """Set them all. To be called several times a second."""
        metrics, speaking, totals = self._metrics, self._shards.speaking, self._peers.gateways.totals()
        metrics.bus_up.set(1 if self._bus.up else 0)
        metrics.shards_active.set(len(speaking))
        metrics.rooms.set(sum(len(shard.fold.rooms) for shard in speaking))
        metrics.members.set(sum(shard.fold.rooms.memberships for shard in speaking))
        metrics.presence_connections.set(sum(shard.fold.presence.connections for shard in speaking))
        metrics.presence_watchers.set(sum(shard.fold.watchers.memberships for shard in speaking))
        metrics.gateways.set(totals.gateways)
        metrics.uplink_bytes.set(totals.uplink_bytes)
        metrics.log_kept_bytes.set(self._capacity.kept_bytes)
        metrics.waiting("shards", self._shards.waiting)
        exceeded = self._capacity.judge(totals.uplink_bytes)
        if exceeded is not None:
            self._log_capacity(exceeded, totals)

    def _bus_blocked(self, blocked: bool) -> None:
        event(
            _logger,
            "bus_blocked" if blocked else "bus_unblocked",
            level=logging.WARNING if blocked else logging.INFO,
        )
        self._metrics.bus_blocked.set(blocked)

    def _log_capacity(self, exceeded: bool, totals: Totals) -> None:
        event(
            _logger,
            "log_too_small" if exceeded else "log_large_enough",
            level=logging.WARNING if exceeded else logging.INFO,
            gateways=totals.gateways,
            uplink_bytes=totals.uplink_bytes,
            kept_bytes=self._capacity.kept_bytes,
            hint="while routers are away the gateways may write more than a shard's log keeps, and the log "
            "loses messages unread: raise WARREN_BROKER_LOG_BYTES, or lower WARREN_GATEWAY_UPLINK_BYTES"
            if exceeded
            else None,
        )
