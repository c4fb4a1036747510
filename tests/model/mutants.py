"""What the one log would be with one thing broken: each of these must be found by the search, in the scenario
that is named beside it in the tests.

Each is the production class with one rule changed, and is named after what it breaks.
"""

from __future__ import annotations

import msgspec

from gateway.core.batch_numbers import BatchNumbers
from gateway.core.feed_positions import FeedPositions, Kind, Verdict
from gateway.core.hub import Hub
from gateway.core.recent_messages import RecentMessages
from gateway.core.websocket.frames import JSON, FrameSet
from router.core import checkpoint
from router.core.checkpoint_parts import CheckpointParts, Whole
from router.core.dedup import SeenIds
from router.core.effects import BackendEvent
from router.core.feeds import Feeds
from router.core.fold import Fold
from router.core.gateway_batches import GatewayBatches
from router.core.gateway_batches import Verdict as LifeVerdict
from warren.envelope import Batch, Deliver, Feed, Named, Number, Publish
from warren.position import LogPosition

# ── the fold ────────────────────────────────────────────────────────────────────────────────────────────────


class IdsNotInTheCheckpoint(Fold):
    def parts(self, size=256 * 1024):
        state = msgspec.structs.replace(self._state, ids=SeenIds(), own_ids=SeenIds())
        bodies = checkpoint.encoded(self.shard, self.shards, state, size)
        return bodies, checkpoint.digest_of(bodies)


class OrderOfForgettingLost(Fold):
    @classmethod
    def restored(cls, shard, shards, offset, bodies):
        fold = super().restored(shard, shards, offset, bodies)
        ids = SeenIds(dict(sorted(fold._ids.seen.items())))
        ids.bound(fold.rules.ids)
        fold._begin(msgspec.structs.replace(fold._state, ids=ids))
        return fold


class _OtherLives(Fold):
    """A fold with other rules for gateways' lives."""

    lives: type[GatewayBatches] = GatewayBatches

    def _begin(self, state):
        lives = self.lives(state.lives.living, state.lives.ended)
        super()._begin(msgspec.structs.replace(state, lives=lives))


class _AcceptsAnyNumber(GatewayBatches):
    def judge(self, gateway, life, number, *, hello):
        return super().judge(gateway, life, number, hello=True)


class _TakesOnlyTheNextNumber(GatewayBatches):
    def judge(self, gateway, life, number, *, hello):
        known = self.living.get(gateway)
        if known is not None and known[0] == life and number > known[1] + 1:
            return LifeVerdict.REPEAT
        return super().judge(gateway, life, number, hello=hello)


class UnknownLifeAcceptedAboveOne(_OtherLives):
    lives = _AcceptsAnyNumber


class OnlyTheNextNumberIsTaken(_OtherLives):
    lives = _TakesOnlyTheNextNumber


class PublishOfALifeThatIsGoneCounts(Fold):
    def _batch(self, head: Batch, contents, effects):
        ended = self._lives.ended.get(head.gateway)
        if ended is not None and ended[0] == head.life and head.number > ended[1]:
            for envelope in contents:
                if isinstance(envelope, Publish):
                    self._publish(envelope, head.gateway, effects)
            return True
        return super()._batch(head, contents, effects)


class ChangesBeforeItJudges(Fold):
    def _batch(self, head: Batch, contents, effects):
        for at, envelope in enumerate(contents):
            if not getattr(envelope, "conn", f"{head.gateway}~").startswith(f"{head.gateway}~"):
                for message in contents[:at]:
                    self._publish(message, head.gateway, [])
                return False
        return super()._batch(head, contents, effects)


# ── feeds ───────────────────────────────────────────────────────────────────────────────────────────────────


class PresentMembers(Feeds):
    """What is read from the ring goes to those who are members now."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.present = ()

    def take(self, life, offset, effects, gateways, ended=None):
        for effect in effects:
            if isinstance(effect, BackendEvent) and effect.kind == "room.joined":
                self.present = (*self.present, effect.gateway)
            elif isinstance(effect, BackendEvent) and effect.kind == "room.left":
                self.present = tuple(name for name in self.present if name != effect.gateway)
        super().take(life, offset, effects, gateways, ended)

    def _next_behind(self, gateway, chain, max_bytes):
        ring = self._ring
        self._ring = _Resolved(ring, self.present)
        try:
            return super()._next_behind(gateway, chain, max_bytes)
        finally:
            self._ring = ring


class _Resolved:
    def __init__(self, ring, present):
        self.floor, self.ring, self.present = ring.floor, ring, present

    def above(self, place):
        for entry, gateways in self.ring.above(place):
            yield entry, self.present if isinstance(entry[2], Deliver) else gateways


class IndexOfEachGatewaysOwn(Feeds):
    """Each gateway's items of an entry are numbered 1, 2, 3 … for it alone."""

    def _link(self, chain, counted, upto, items):
        own, last = [], (chain.sent.offset, chain.sent.index) if chain.sent else (-1, 0)
        for offset, _, item in items:
            last = (offset, last[1] + 1 if last[0] == offset else 1)
            own.append((*last, item))
        if (upto.offset, upto.index) != self._now:  # it is cut
            upto = LogPosition(upto.life, *last)
        return super()._link(chain, counted, upto, tuple(own))


class NumberWithoutTheLogsLife(Feeds):
    def number(self, said: Number):
        if said.mine is not None and self._life:
            said = msgspec.structs.replace(said, mine=msgspec.structs.replace(said.mine, life=self._life))
        return super().number(said)


# ── gateways ────────────────────────────────────────────────────────────────────────────────────────────────


class PositionWithoutTheLogsLife(FeedPositions):
    def judge(self, feed: Feed):
        if feed.life == self.life and self.mine is not None:
            self.mine = msgspec.structs.replace(self.mine, life=feed.upto.life)
        return super().judge(feed)


class PositionWithoutAnIndex(FeedPositions):
    def judge(self, feed: Feed):
        mine, upto = self.mine, feed.upto
        if (
            feed.life == self.life
            and mine is not None
            and upto.life == mine.life
            and upto.offset <= mine.offset
        ):
            return Verdict(Kind.REPEAT, counted=feed.counted)
        return super().judge(feed)


class MissingBodySkipped(FeedPositions):
    def _apply(self, feed: Feed):
        log = feed.upto.life
        known = tuple(
            each
            for each in feed.items
            if not isinstance(each[2], Named)
            or self._bodies.get(LogPosition(log, each[0], each[1])) is not None
        )
        return super()._apply(msgspec.structs.replace(feed, items=known))


class RepeatsTakenAgain(FeedPositions):
    """The check ``upto <= mine`` is off."""

    def judge(self, feed: Feed):
        mine = self.mine
        if feed.life == self.life and mine is not None and feed.upto.life == mine.life and feed.upto <= mine:
            self.mine = feed.after
        return super().judge(feed)


class GapsPassedOver(FeedPositions):
    """The check ``after > mine`` is off."""

    def judge(self, feed: Feed):
        return super().judge(msgspec.structs.replace(feed, after=self.mine))


class NumberUsedAgain(BatchNumbers):
    def failed(self, batch):
        given_up = any(entry.envelope is None for entry in batch.entries) and self.is_under_way(batch)
        super().failed(batch)
        if given_up:
            self.last -= 1


class NotSaidAgain(BatchNumbers):
    def ask_again(self):
        pass


class NoHello(BatchNumbers):
    def next(self):
        self.last = self.last or 1
        return super().next()


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────


class PartsOfTwoWritersMixed(CheckpointParts):
    def __init__(self):
        super().__init__()
        self.bodies: dict[int, bytes] = {}

    def take(self, part):
        self.bodies[part.part] = part.body
        if set(self.bodies) >= set(range(part.parts)):
            whole = Whole(
                part.router, part.offset, part.digest, tuple(self.bodies[each] for each in range(part.parts))
            )
            self.bodies.clear()
            return whole
        return None


# ── reads ───────────────────────────────────────────────────────────────────────────────────────────────────


class MemoryWithAHoleIsUsed(RecentMessages):
    """A message that does not follow the last is kept behind it all the same."""

    def begin(self, room, position):
        pass

    def put(self, message):
        recent = self._windows.get(message.room)
        if recent is None:
            super().put(message)
        else:
            recent.messages.append(message)


class LiveMessageGivenDuringPaging(Hub):
    """Who still catches up is given what comes, too."""

    def deliver(self, messages, now_ms):
        behind = {message: self.apart(message.room) for message in messages}
        result = super().deliver(messages, now_ms)
        for message, members in behind.items():
            for conn, standing in members:
                if standing is not None:
                    self._members[conn].outbox.put(FrameSet(message).bytes(JSON), 1, False)
        return result
