"""PeerMessages: what this router says to other routers (and to itself), each by its own inbox.

Best effort: who waits for an answer asks again, and a router that is gone waits for none. An inbox that owes
its confirm holds up nothing for the others. What waits and what is under way is bounded: beyond it a message
is dropped and counted. What this router says to itself does not go by the broker. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from router.shell.router_context import RouterContext
from warren.batch import BatchLimits
from warren.batcher import Batcher
from warren.bounded_overlap import BoundedOverlap
from warren.bus import Properties
from warren.envelope import CONTENT_TYPE, Envelope, encode, size_of
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import ALL

WAITING_COUNT = 16_384
WAITING_BYTES = 16 * 1024 * 1024
# So long one publish is waited for before the next begins, and so many may be under way.
CONFIRMED_S = 0.1
UNDER_WAY = 128

_PROPERTIES = Properties(content_type=CONTENT_TYPE)


class PeerMessages:
    """One router's."""

    def __init__(self, context: RouterContext) -> None:
        """Nothing is sent before something is told."""
        self._bus = context.bus
        self._router = context.id
        self._take_own: Callable[[Sequence[Envelope]], None] | None = None
        self._exchange = context.topology.routers
        self._metrics = context.metrics
        limits = BatchLimits(waiting_count=WAITING_COUNT, waiting_bytes=WAITING_BYTES)
        self._overlap = BoundedOverlap("peer-messages", CONFIRMED_S, UNDER_WAY)
        self._batcher: Batcher[tuple[str, Envelope]] = Batcher(self._send, limits)

    def own_to(self, take: Callable[[Sequence[Envelope]], None]) -> None:
        """Give to ``take`` what this router says to itself alone."""
        self._take_own = take

    def tell(self, router: str, envelope: Envelope) -> None:
        """Send this to a router (or ALL), once."""
        if not self._batcher.offer((router, envelope), size_of(envelope)):
            self._metrics.rejected("peer_message_dropped")

    async def close(self) -> None:
        """Give up what waits."""
        await self._batcher.close()
        await self._overlap.close()

    async def _send(self, messages: Sequence[tuple[str, Envelope]]) -> None:
        bodies: dict[str, list[Envelope]] = {}
        for router, envelope in messages:
            bodies.setdefault(router, []).append(envelope)
        for router, envelopes in bodies.items():
            if router == self._router and self._take_own is not None:
                self._take_own(envelopes)
            elif not await self._overlap.run(partial(self._publish, router, envelopes)):
                self._metrics.rejected("peer_message_dropped", len(envelopes))

    async def _publish(self, router: str, envelopes: Sequence[Envelope]) -> None:
        try:
            await self._bus.publish(
                self._exchange,
                router,
                encode(envelopes),
                _PROPERTIES,
                mandatory=router != ALL,
                persistent=False,
            )
        except (BusUnavailable, NotConfirmed, Unroutable):
            self._metrics.rejected("peer_message_lost", len(envelopes))
