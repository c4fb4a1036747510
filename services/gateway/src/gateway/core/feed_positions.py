"""FeedPositions: how far this gateway has got in one shard's log, and what a feed means to it: a repeat,
what comes next, or a gap.

Two numbers are all there is: the gateway's own life on the shard, and the place up to which it has been told
everything in that life. Who sends a feed does not matter: two that speak at once say the same. What has a
hole before it is never taken, and nothing is taken twice. Pure.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from gateway.core.broadcast_bodies import BroadcastBodies
from warren.envelope import Bodies, Feed, Item, LifeEnded, Named, Number, Reset
from warren.position import LogPosition

BODIES_BYTES: Final = 8 * 1024 * 1024


class Kind(Enum):
    """What a feed is to the gateway that judges it."""

    REPEAT = auto()  # all of it is known
    APPLY = auto()  # its items come next
    # something before it, or a message that it names, is missing: ask for a feed from ``number()``
    GAP = auto()
    OTHER = auto()  # it is for another life of this gateway: drop it
    FOREIGN = (
        auto()
        # it counts in another life of the log, so this gateway's life is over, as by a LifeEnded with
        # ``counted`` 0
    )


class Verdict(msgspec.Struct, frozen=True):
    """``items`` are to be applied now, in their order, whatever the kind: before a gap within the feed there
    are some too.

    ``counted``: batches of this life up to it are settled.
    """

    kind: Kind
    items: tuple[Item, ...] = ()
    counted: int = 0


class FeedPositions:
    """One shard's."""

    def __init__(self, gateway: str, shard: int, life: int = 1, bodies_bytes: int = BODIES_BYTES) -> None:
        """Begin in ``life``, told nothing."""
        self.life = life
        self.mine: LogPosition | None = None
        self._gateway = gateway
        self._shard = shard
        self._bodies = BroadcastBodies(bodies_bytes)

    def begin(self, life: int) -> None:
        """A new life begins, in which nothing has been told."""
        self.life, self.mine = life, None

    def number(self) -> Number:
        """Return what says where this gateway stands."""
        return Number(self._gateway, self._shard, self.life, self.mine)

    def put(self, bodies: Bodies) -> None:
        """Keep messages that feeds will name."""
        self._bodies.put(bodies, self.mine)

    def judge(self, feed: Feed) -> Verdict:
        """Judge a feed. What the verdict gives counts as applied from now on."""
        if feed.life != self.life:
            return Verdict(Kind.OTHER)
        mine = self.mine
        if mine is not None:
            if feed.upto.life != mine.life:
                return Verdict(Kind.FOREIGN)
            if feed.upto <= mine:
                return Verdict(Kind.REPEAT, counted=feed.counted)
        # One without ``after`` has everything from the Hello on, so there is nothing before it that could be
        # missing.
        if feed.after is not None and (mine is None or feed.after > mine):
            return Verdict(Kind.GAP)
        return self._apply(feed)

    def reset(self, said: Reset) -> bool:
        """What lies before ``said.upto`` is not to be had: stand there. Return whether this changes anything;
        then all members join again.
        """
        if said.life != self.life:
            return False
        if self.mine is not None and (said.upto.life != self.mine.life or said.upto <= self.mine):
            return False
        self._stand(said.upto)
        return True

    def ended(self, said: LifeEnded) -> bool:
        """Say whether it is the present life that is over; then the caller begins the next."""
        return said.life == self.life

    def _apply(self, feed: Feed) -> Verdict:
        log, mine = feed.upto.life, self.mine
        after = (-1, 0) if mine is None else (mine.offset, mine.index)
        items: list[Item] = []
        last: tuple[int, int] | None = None
        for offset, index, item in feed.items:
            if (offset, index) <= after:
                continue
            if isinstance(item, Named):
                body = self._bodies.get(LogPosition(log, offset, index))
                if body is None:
                    if last is not None:
                        self._stand(LogPosition(log, *last))
                    return Verdict(Kind.GAP, tuple(items))
                item = body
            items.append(item)
            last = (offset, index)
        self._stand(feed.upto)
        return Verdict(Kind.APPLY, tuple(items), feed.counted)

    def _stand(self, place: LogPosition) -> None:
        self.mine = place
        self._bodies.passed(place)
