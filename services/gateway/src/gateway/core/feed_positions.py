"""Feed positions: how far this gateway has got in one shard's log, and what a feed is to it: a repeat, the next link, or a gap."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from warren.envelope import OVERHEAD_BYTES, Bodies, Deliver, Feed, Item, Named
from warren.position import LogPosition

BODIES_BYTES = 16 * 1024 * 1024


class Verdict(enum.Enum):
    """What a feed is."""

    REPEAT = "repeat"
    APPLY = "apply"
    GAP = "gap"
    OTHER = "other"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, and the items that come next here."""

    verdict: Verdict
    items: Sequence[Item] = ()


class FeedPositions:
    """One shard's."""

    def __init__(self, life: int = 1) -> None:
        """Begin with a life."""
        self.life = life
        self.mine: LogPosition | None = None
        self._bodies: OrderedDict[LogPosition, Deliver] = OrderedDict()
        self._bytes = 0

    def begin(self, life: int) -> None:
        """Begin another life."""
        self.life, self.mine = life, None

    def reset(self, upto: LogPosition) -> None:
        """Stand elsewhere."""
        self.mine = upto

    def bodies(self, bodies: Bodies) -> None:
        """Keep bodies for the feeds that name them."""
        for offset, index, message in bodies.messages:
            self._bodies[LogPosition(bodies.life, offset, index)] = message
            self._bytes += OVERHEAD_BYTES + len(message.payload)
        while self._bytes > BODIES_BYTES:
            _, gone = self._bodies.popitem(last=False)
            self._bytes -= OVERHEAD_BYTES + len(gone.payload)

    def judge(self, feed: Feed) -> Judged:
        """Judge a feed and move on."""
        mine = self.mine
        if feed.life != self.life:
            return Judged(Verdict.OTHER)
        if mine is not None and feed.upto.life != mine.life:
            return Judged(Verdict.FOREIGN)
        if mine is not None and feed.upto <= mine:
            return Judged(Verdict.REPEAT)
        if feed.after is not None and (mine is None or feed.after > mine):
            return Judged(Verdict.GAP)
        items: list[Item] = []
        for offset, index, item in feed.items:
            at = LogPosition(feed.upto.life, offset, index)
            if mine is not None and at <= mine:
                continue
            if isinstance(item, Named):
                body = self._bodies.get(at)
                if body is None:
                    return Judged(Verdict.GAP, items)
                item = body
            items.append(item)
            self.mine = at
        self.mine = feed.upto
        return Judged(Verdict.APPLY, items)
