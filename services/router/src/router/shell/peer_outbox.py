"""PeerOutbox: what this router says to single other routers, or to itself, through their inboxes.

Best effort: what can't be published is dropped and counted, since whoever waits for it asks again or gives up
in time. For each router one batch is under way; what waits is bounded. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.shell.router_context import RouterContext
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Envelope, encode, size_of
from warren.errors import BusUnavailable, NotConfirmed, Unroutable

WAITING_COUNT = 16_384
WAITING_BYTES = 16 * 1024 * 1024
# Routers for which something may be under way; beyond it the one that has nothing to say for longest goes.
ROUTERS = 64
_PROPERTIES = Properties(content_type=CONTENT_TYPE)


class PeerOutbox:
    """One router's."""

    def __init__(self, context: RouterContext) -> None:
        """Nothing is under way."""
        self._bus = context.bus
        self._exchange = context.topology.routers
        self._metrics = context.metrics
        self._batchers: dict[str, Batcher[Envelope]] = {}

    def tell(self, router: str, said: Envelope) -> None:
        """Say something to a router, once."""
        batcher = self._batchers.get(router)
        if batcher is None:
            batcher = self._batchers[router] = self._batcher(router)
            self._tidy()
        if not batcher.offer(said, size_of(said)):
            self._metrics.rejected("peer_message_dropped")

    async def close(self) -> None:
        """Give up what waits."""
        batchers, self._batchers = list(self._batchers.values()), {}
        for batcher in batchers:
            await batcher.close()

    def _batcher(self, router: str) -> Batcher[Envelope]:
        async def send(batch: Sequence[Envelope]) -> None:
            try:
                await self._bus.publish(
                    self._exchange, router, encode(batch), _PROPERTIES, mandatory=True, persistent=False
                )
            except (BusUnavailable, NotConfirmed, Unroutable):
                self._metrics.rejected("peer_message_dropped", len(batch))

        return Batcher(send, BatchLimits(waiting_count=WAITING_COUNT, waiting_bytes=WAITING_BYTES))

    def _tidy(self) -> None:
        """Forget routers of former lives, to whom nothing is under way."""
        if len(self._batchers) > ROUTERS:
            for router, batcher in list(self._batchers.items()):
                if not batcher.waiting and len(self._batchers) > ROUTERS // 2:
                    del self._batchers[router]
