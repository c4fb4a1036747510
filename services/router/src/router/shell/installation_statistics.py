"""InstallationStatistics: ``/websocket-stats`` of the whole installation, from what the gateways say of
themselves in their heartbeats.

It only reads. The figures of one pod are at that gateway's own ``/websocket-stats``.
"""

from __future__ import annotations

import orjson
from aiohttp import web

from router.core.gateway_leases import GatewayLeases
from router.shell.router_context import RouterContext
from router.shell.shards import Shards


class InstallationStatistics:
    """The installation in figures."""

    def __init__(self, context: RouterContext, gateways: GatewayLeases, shards: Shards) -> None:
        """Uptime counts from here."""
        self._router = context.id
        self._clock = context.clock
        self._began = context.clock.monotonic()
        self._gateways = gateways
        self._shards = shards

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/websocket-stats", self._answer)]

    def figures(self) -> dict[str, object]:
        """Return the figures: sums, each gateway's own, and what this router speaks for."""
        totals = self._gateways.totals()
        now_us = self._clock.wall_us()
        speaking = self._shards.speaking
        return {
            "connections": totals.connections,
            "messages": {"in": totals.messages_in, "out": totals.messages_out},
            "errors": totals.errors,
            "memory": totals.rss_bytes,
            "uptime": round(self._clock.monotonic() - self._began, 1),
            "gateways": [
                {
                    "id": beat.gateway,
                    "connections": beat.connections,
                    "messages": {"in": beat.messages_in, "out": beat.messages_out},
                    "errors": beat.errors,
                    "memory": beat.rss_bytes,
                    "uptime": round(max(0, now_us - beat.started_us) / 1_000_000, 1),
                }
                for _, beat in sorted(self._gateways.all_said().items())
            ],
            "router": {
                "id": self._router,
                "shards": [shard.number for shard in speaking],
                "rooms": sum(len(shard.fold.rooms) for shard in speaking),
                "members": sum(shard.fold.rooms.memberships for shard in speaking),
            },
        }

    async def _answer(self, _: web.Request) -> web.Response:
        return web.Response(
            body=orjson.dumps(self.figures()),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
