"""PeerInbox: what gateways and routers tell this router. Heartbeats and goodbyes go to the leases, questions
to the shards that they are about.

The router's own queue: exclusive, named anew for each connection. While it is not consumed no lease ends,
since nothing could be heard; nor while nothing at all comes, not even what this router says itself: then it
is deaf, and the others are not dead. It decides nothing. ``app.py`` builds it and ticks it, the heartbeat
says when it has to be consumed anew.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

from router.core.gateway_leases import GatewayLeases, Heard
from router.core.router_leases import RouterLeases
from router.shell.shard import Shard
from router.shell.stale_queues import StaleQueues
from warren.address import shard_of
from warren.bus import Bus, Delivery, Source, Subscription
from warren.clock import Clock
from warren.envelope import (
    Envelope,
    Heartbeat,
    HistoryQuery,
    Leaving,
    Number,
    Read,
    RouterHeartbeat,
    RouterLeaving,
    decode_leniently,
)
from warren.logs import event, get_logger
from warren.metrics import RouterMetrics
from warren.topology import Topology

# Small envelopes, handled at once: it only bounds what is on its way.
PREFETCH = 1_000

_logger = get_logger("router.peer_inbox")


class PeerInbox:
    """The router's own queue."""

    def __init__(
        self,
        bus: Bus,
        topology: Topology,
        router: str,
        clock: Clock,
        gateways: GatewayLeases,
        routers: RouterLeases,
        stale_queues: StaleQueues,
        metrics: RouterMetrics,
        *,
        deaf_s: float,
    ) -> None:
        """``connect`` says which shards there are, and whom to tell that a router has come or gone. Who hears
        itself, and then nothing at all for ``deaf_s``, is deaf.
        """
        self._bus = bus
        self._topology = topology
        self._router = router
        self._clock = clock
        self._gateways = gateways
        self._routers = routers
        self._stale_queues = stale_queues
        self._metrics = metrics
        self._moved: Callable[[], None] = lambda: None
        self._shards: Sequence[Shard] = ()
        self._subscription: Subscription | None = None
        self._since: float | None = None
        self._deaf_s = deaf_s
        self._heard_at = 0.0
        self._hears_itself = False

    def connect(self, shards: Sequence[Shard], moved: Callable[[], None]) -> None:
        """Hand over every shard, by number; ``moved`` is called when a router has come or gone, or says
        something new.
        """
        self._shards = shards
        self._moved = moved

    def listening_s(self) -> float:
        """Return for how long heartbeats have been heard without a break, in seconds; less than 0: they are
        not.
        """
        return -1.0 if self._since is None else self._clock.monotonic() - self._since

    @property
    def queue(self) -> str:
        """Our queue's name at present; "" where there is none."""
        return (
            self._subscription.queue if self._subscription is not None and self._subscription.active else ""
        )

    async def start(self) -> None:
        """Begin to listen."""
        self._subscription = await self._bus.subscribe(
            self._source, self._delivered, prefetch=PREFETCH, on_start=self._started, on_lost=self._lost
        )

    async def stop(self) -> None:
        """Listen no more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        self._since = None

    def renew(self) -> None:
        """Consume anew under another name: nothing reaches our queue any more."""
        event(_logger, "unreachable", level=logging.WARNING, reason="nothing reaches our queue")
        if self._subscription is not None:
            self._subscription.renew()

    def tick(self) -> None:
        """End the leases whose time is up."""
        if self._since is None:
            return
        now = self._clock.monotonic()
        deaf = self._hears_itself and now - self._heard_at >= self._deaf_s
        if self._bus.blocked or deaf:
            # The broker takes nothing from anyone, or gives nothing to us: so nobody can say that he lives.
            self._since = now
            self._gateways.listen(now)
            self._routers.listen(now)
            return
        for gateway in self._gateways.expire(now):
            event(_logger, "gateway_gone", level=logging.WARNING, gateway=gateway, reason="no heartbeat")
            self._stale_queues.gone(gateway)
        gone = self._routers.expire(now)
        for router in gone:
            if router == self._router:
                continue  # whoever hears nobody does not hear itself either
            event(_logger, "router_gone", level=logging.WARNING, router=router, reason="no heartbeat")
            self._stale_queues.gone(router)
        if gone:
            self._moved()

    def suspect(self, gateway: str) -> None:
        """Something for this gateway could not be delivered: trust it less long."""
        if self._gateways.suspect(gateway, self._clock.monotonic()):
            event(_logger, "gateway_suspected", level=logging.WARNING, gateway=gateway)

    def dead(self, router: str) -> None:
        """Nothing reaches this router any more."""
        if self._routers.leaving(router):
            event(
                _logger,
                "router_gone",
                level=logging.WARNING,
                router=router,
                reason="nobody is behind its inbox",
            )
            self._stale_queues.gone(router)
            self._moved()

    def _source(self) -> Source:
        queue, bindings = self._topology.router_queue(self._router, secrets.token_hex(4))
        return Source(queue, bindings)

    def _started(self) -> None:
        self._since = self._heard_at = self._clock.monotonic()
        self._hears_itself = False
        self._gateways.listen(self._since)
        self._routers.listen(self._since)
        for shard in self._shards:
            shard.ask_everyone()

    def _lost(self) -> None:
        self._since = None

    def _delivered(self, delivery: Delivery) -> None:
        self._heard_at = self._clock.monotonic()
        envelopes, spoilt = decode_leniently(delivery.body)
        if spoilt:
            # Nothing here must be kept: a heartbeat comes again, and what was asked is asked again.
            self._metrics.rejected("inbox")
            event(_logger, "inbox_malformed", level=logging.WARNING, reason=spoilt)
        for envelope in envelopes:
            try:
                self._take(envelope)
            except Exception as error:  # noqa: BLE001 - one bad word must not end the listening
                self._metrics.rejected("inbox")
                event(_logger, "inbox_failed", level=logging.ERROR, error=error)
        delivery.ack()

    def _take(self, envelope: Envelope) -> None:
        match envelope:
            case Number() | Read():
                if 0 <= envelope.shard < len(self._shards):
                    shard = self._shards[envelope.shard]
                    if isinstance(envelope, Number):
                        shard.number_said(envelope)
                    else:
                        shard.asked(envelope)
            case HistoryQuery():
                self._shards[shard_of(envelope.room, len(self._shards))].queried(envelope)
            case Heartbeat():
                self._gateway_lives(envelope)
            case Leaving():
                self._stale_queues.left(envelope.gateway)
                if self._gateways.leaving(envelope.gateway):
                    event(_logger, "gateway_gone", gateway=envelope.gateway, reason="leaving")
            case RouterHeartbeat():
                self._hears_itself = self._hears_itself or envelope.router == self._router
                self._stale_queues.seen(envelope.router, envelope.queue)
                if self._routers.heartbeat(envelope, self._clock.monotonic()):
                    event(_logger, "router_here", router=envelope.router)
                self._moved()
            case RouterLeaving():
                self._stale_queues.left(envelope.router)
                if self._routers.leaving(envelope.router):
                    event(_logger, "router_gone", router=envelope.router, reason="leaving")
                    self._moved()
            case _:
                self._metrics.rejected("inbox")
                event(_logger, "inbox_unexpected", level=logging.WARNING, kind=type(envelope).__name__)

    def _gateway_lives(self, beat: Heartbeat) -> None:
        match self._gateways.heartbeat(beat, self._clock.monotonic()):
            case Heard.LATE:
                return
            case Heard.NEW:
                event(_logger, "gateway_here", gateway=beat.gateway)
            case Heard.REBORN:
                event(_logger, "gateway_reborn", gateway=beat.gateway)
                self._stale_queues.gone(beat.gateway)  # that of the former life
            case Heard.KNOWN | Heard.BACK:
                pass
        self._stale_queues.seen(beat.gateway, beat.queue)
