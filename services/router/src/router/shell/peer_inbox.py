"""PeerInbox: what gateways and routers tell this router, by its own queue. Heartbeats and goodbyes go to the
leases, questions to the shards that they are about.

Nothing here must be kept: a heartbeat comes again, and what was asked is asked again. It decides nothing:
``core/peers.py`` says who lives.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from router.core.gateway_leases import Heard
from router.core.peers import Peers
from router.shell.receipt_replies import ReceiptReplies
from router.shell.router_calls import RouterCalls
from router.shell.router_context import RouterContext
from router.shell.shards import Shards
from router.shell.stale_queues import StaleQueues
from warren.address import shard_of, user_room
from warren.envelope import (
    AccessQuery,
    CommandResult,
    Counts,
    Envelope,
    Heartbeat,
    HistoryQuery,
    Leaving,
    Number,
    PresenceQuery,
    Progress,
    Read,
    ReadAnswer,
    ReadQuery,
    Receipt,
    RouterHeartbeat,
    RouterLeaving,
)
from warren.logs import event, get_logger
from warren.own_queue import OwnQueue

# Small envelopes, handled at once: it only bounds what is on its way.
PREFETCH = 1_000

_logger = get_logger("router.peer_inbox")


class PeerInbox:
    """One router's."""

    def __init__(
        self,
        context: RouterContext,
        own_queue: OwnQueue,
        peers: Peers,
        shards: Shards,
        stale_queues: StaleQueues,
        receipts: ReceiptReplies,
        calls: RouterCalls,
    ) -> None:
        """It hears nothing before ``start``."""
        self._bus = context.bus
        self._clock = context.clock
        self._metrics = context.metrics
        self._router = context.id
        self._own_queue = own_queue
        self._peers = peers
        self._shards = shards
        self._stale_queues = stale_queues
        self._receipts = receipts
        self._calls = calls

    async def start(self) -> None:
        """Begin to listen."""
        await self._own_queue.start(self)

    async def stop(self) -> None:
        """Listen no more."""
        await self._own_queue.stop()
        self.lost()

    def tick(self) -> None:
        """End the leases whose time is up. To be called several times a second."""
        gone = self._peers.expire(self._clock.monotonic(), blocked=self._bus.blocked)
        for gateway in gone.gateways:
            event(_logger, "gateway_gone", level=logging.WARNING, gateway=gateway, reason="no heartbeat")
            self._stale_queues.gone(gateway)
        for router in gone.routers:
            if router == self._router:
                continue  # whoever hears nobody does not hear itself either
            self._router_gone(router, "no heartbeat")
        if gone.routers:
            self._shards.follow_placement()

    def unreachable(self, router: str) -> None:
        """Nothing reaches the own queue of another router: it is gone."""
        if self._peers.routers.end(router):
            self._router_gone(router, "nobody is behind its inbox")
            self._shards.follow_placement()

    # ── our own queue ───────────────────────────────────────────────────────────────────────────────────────

    def begun(self) -> None:
        """Heartbeats can be heard (again)."""
        self._peers.begun(self._clock.monotonic())
        self._shards.ask_gateways()

    def lost(self) -> None:
        """Nothing can be heard."""
        self._peers.lost()

    def malformed(self, reason: str) -> None:
        """Count and log what is no envelope."""
        self._metrics.rejected("inbox")
        event(_logger, "inbox_malformed", level=logging.WARNING, reason=reason)

    def failed(self, error: Exception) -> None:
        """Count and log what could not be dealt with."""
        self._metrics.rejected("inbox")
        event(_logger, "inbox_failed", level=logging.ERROR, error=error)

    def take(self, envelopes: Sequence[Envelope]) -> None:
        """Deal with each envelope; one that fails does not keep us from the others. A body without any is a
        probe.
        """
        self._peers.heard(self._clock.monotonic())
        self.take_own(envelopes)

    def take_own(self, envelopes: Sequence[Envelope]) -> None:
        """Deal with what this router says to itself, which does not show that anything else can be heard."""
        for envelope in envelopes:
            try:
                self._take(envelope)
            except Exception as error:  # noqa: BLE001 - one bad envelope must not end the listening
                self.failed(error)

    def _take(self, envelope: Envelope) -> None:
        match envelope:
            case Number() | Read() | Progress() | Counts():
                if 0 <= envelope.shard < len(self._shards):
                    shard = self._shards[envelope.shard]
                    if isinstance(envelope, Number):
                        shard.number_said(envelope)
                    elif isinstance(envelope, Progress):
                        shard.progress_said(envelope)
                    elif isinstance(envelope, Counts):
                        shard.counted(envelope)
                    else:
                        shard.asked(envelope)
            case Receipt():
                self._receipts.take(envelope)
                self._calls.take(envelope)
            case ReadQuery():
                if 0 <= envelope.shard < len(self._shards):
                    self._shards.read_asked(envelope)
            case CommandResult() | ReadAnswer():
                self._calls.take(envelope)
            case HistoryQuery():
                self._shards[shard_of(envelope.room, len(self._shards))].queried(envelope)
            case PresenceQuery():
                self._shards[shard_of(envelope.room, len(self._shards))].presence_queried(envelope)
            case AccessQuery():
                own = user_room(envelope.user)
                self._shards[shard_of(own, len(self._shards))].access_queried(envelope)
            case Heartbeat():
                self._gateway_lives(envelope)
            case Leaving():
                self._stale_queues.left(envelope.gateway)
                if self._peers.gateways.end(envelope.gateway):
                    event(_logger, "gateway_gone", gateway=envelope.gateway, reason="leaving")
            case RouterHeartbeat():
                self._stale_queues.seen(envelope.router, envelope.queue)
                if self._peers.router_said(envelope, self._clock.monotonic()):
                    event(_logger, "router_here", router=envelope.router)
                self._shards.follow_placement()
            case RouterLeaving():
                self._stale_queues.left(envelope.router)
                if self._peers.routers.end(envelope.router):
                    event(_logger, "router_gone", router=envelope.router, reason="leaving")
                    self._shards.follow_placement()
            case _:
                self._metrics.rejected("inbox")
                event(_logger, "inbox_unexpected", level=logging.WARNING, kind=type(envelope).__name__)

    def _gateway_lives(self, beat: Heartbeat) -> None:
        match self._peers.gateways.heartbeat(beat, self._clock.monotonic()):
            case Heard.LATE:
                return
            case Heard.NEW:
                event(_logger, "gateway_here", gateway=beat.gateway)
            case Heard.REBORN:
                event(_logger, "gateway_reborn", gateway=beat.gateway)
                self._stale_queues.gone(beat.gateway)  # that of the former life
            case Heard.KNOWN:
                pass
        self._stale_queues.seen(beat.gateway, beat.queue)

    def _router_gone(self, router: str, reason: str) -> None:
        event(_logger, "router_gone", level=logging.WARNING, router=router, reason=reason)
        self._stale_queues.gone(router)
