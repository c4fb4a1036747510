"""ShardPresence: what those who watch rooms of one shard are told of who is there, while this router speaks
for it, and the answers to who asks.

It is best effort, outside the feeds: what is lost is seen by its digest, and asked for. It decides nothing
(``core/presence_diffs.py``).
"""

from __future__ import annotations

from router.core.effects import PresenceChanged, SeenChanged
from router.core.fold import PRESENCE_VERSION, Fold
from router.core.presence_diffs import PresenceDiffs
from router.core.presence_pages import presence_page
from router.shell.shard_context import ShardContext
from warren import envelope as wire
from warren.address import gateway_of


class ShardPresence:
    """One shard's."""

    def __init__(self, context: ShardContext) -> None:
        """Begin as that of a shard for which this router does not speak."""
        self._egress = context.egress
        self._metrics = context.router.metrics
        self._namespaces = context.namespaces
        self._now = context.router.clock.monotonic
        self._diffs = PresenceDiffs(context.namespaces)

    def changed(self, change: PresenceChanged, fold: Fold) -> None:
        """Take what the entry has changed that the fold has applied last."""
        self._diffs.changed(change, fold, self._now())

    def saw(self, change: SeenChanged, fold: Fold) -> None:
        """Take who has seen more of a room, by the entry that the fold has applied last."""
        self._diffs.saw(change.room, change.user, fold, self._now())

    def speak(self) -> None:
        """Tell from now on."""
        self._diffs.speak(self._now())

    def silence(self) -> None:
        """Tell nothing more."""
        self._diffs.silence()

    def forget(self) -> None:
        """Another state of the shard counts from now on."""
        self._diffs.clear()

    def number_said(self, gateway: str, fold: Fold) -> None:
        """A gateway says where it stands: it may have missed what is told outside the feeds."""
        self._diffs.refresh(gateway, fold, self._now())

    def queried(self, query: wire.PresenceQuery, fold: Fold) -> None:
        """Answer one who wants to know who is in a room. A gateway takes an answer for a sign that all
        routers can read what it writes of presence: so there is none before the log's version says so.
        """
        if fold.version < PRESENCE_VERSION:
            return
        self._metrics.presence("page")
        page = presence_page(query, fold, self._namespaces.policy(query.room))
        self._egress.tell(gateway_of(query.conn), page)

    def tick(self, fold: Fold) -> None:
        """Tell what is due. To be called several times a second, while speaking."""
        for gateways, diff in self._diffs.due(fold, self._now()):
            self._metrics.presence("diff", len(gateways))
            for gateway in gateways:
                self._egress.tell(gateway, diff)
