"""PodStats: what ``/websocket-stats`` shows of this pod. It only reads."""

from __future__ import annotations

import orjson
from aiohttp import hdrs, web

from gateway.core.broker_presence import BrokerPresence
from gateway.core.hub import Hub
from gateway.shell.connections import Connections
from warren.clock import Clock
from warren.metrics import GatewayMetrics
from warren.probes import Readiness
from warren.process_memory import peak_rss_bytes, rss_bytes


class PodStats:
    """One gateway's counts."""

    def __init__(
        self,
        gateway: str,
        connections: Connections,
        hub: Hub,
        presence: BrokerPresence,
        readiness: Readiness,
        clock: Clock,
        metrics: GatewayMetrics,
    ) -> None:
        """The pod's uptime counts from here."""
        self._gateway = gateway
        self._connections = connections
        self._hub = hub
        self._presence = presence
        self._readiness = readiness
        self._clock = clock
        self._metrics = metrics
        self._began = clock.monotonic()

    def counts(self) -> dict[str, object]:
        """Return the counts of this moment. Memory is in bytes, uptime in seconds."""
        metrics = self._metrics
        return {
            "gateway": self._gateway,
            "connections": len(self._connections),
            "event_streams": self._connections.streams(),
            "messages": metrics.total_in,
            "messages_out": metrics.total_out,
            "errors": metrics.total_errors,
            "rooms": self._hub.rooms,
            "memory": {"rss": rss_bytes(), "peak_rss": peak_rss_bytes()},
            "uptime": round(self._clock.monotonic() - self._began, 3),
            "bus": self._presence.state,
            "draining": self._readiness.draining,
        }

    async def show(self, _: web.Request) -> web.Response:
        """Answer with the counts as JSON."""
        return web.Response(
            body=orjson.dumps(self.counts()),
            content_type="application/json",
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )
