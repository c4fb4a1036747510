"""ShardPresence: what leaves for the gateways of those who watch, while this router speaks."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.shard_harness import ShardHarness

from router.core.effects import PresenceChanged
from router.core.fold import Fold
from router.core.presence_diffs import BEAT_S
from router.shell.shard_presence import ShardPresence
from warren.envelope import (
    Batch,
    Hello,
    Join,
    PresenceDiff,
    PresencePage,
    PresenceQuery,
    Rules,
    Watch,
    decode,
    encode,
)
from warren.log_entries import PRESENCE_USERS
from warren.namespaces import Namespaces, PresencePolicy, RoomPolicy


class Harness(ShardHarness):
    def __init__(self):
        policy = RoomPolicy("two", "a", presence=PresencePolicy("users", max=2))
        super().__init__(Namespaces([policy]))
        self.presence, self.fold = ShardPresence(self.context), Fold(0, 1)
        self.put(Rules("life", 2, 9, 9, 9, 1))
        self.put(Batch("g2", 1, 1, 1), Hello(), Watch("a", "g2~1", "eve", on=True))

    def put(self, *entry):
        for effect in self.fold.apply(self.fold.offset + 1, encode(entry)):
            if isinstance(effect, PresenceChanged):
                self.presence.changed(effect, self.fold)

    def join(self, count=1):
        joins = [Join("a", f"g1~{number}", f"u{number}", presence=PRESENCE_USERS) for number in range(count)]
        self.put(Batch("g1", 1, 1, 1), Hello(), *joins)

    def after(self, seconds):
        self.clock.advance(seconds)
        self.presence.tick(self.fold)

    async def told(self, count):
        def envelopes():
            return [
                (published.key, envelope)
                for published in self.log.published
                if published.exchange == self.topology.egress
                for envelope in decode(published.body)
            ]

        await eventually(lambda: len(envelopes()) >= count)
        return envelopes()

    def counted(self, kind):
        return self.metrics.registry.get_sample_value("warren_router_presence_total", {"kind": kind}) or 0


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.egress.close()


async def test_who_watches_is_told_at_the_next_beat(harness):
    """Once for each gateway, and it is counted."""
    harness.presence.speak()
    harness.join()
    harness.after(BEAT_S / 2)
    harness.after(BEAT_S)
    ((key, diff),) = await harness.told(1)
    assert (key, [member.key for member in diff.joined], harness.counted("diff")) == ("g2", ["u0"], 1)


async def test_what_happened_before_this_router_spoke_is_told_when_it_does(harness):
    """And what was to be told by one that falls silent is left to the next."""
    harness.join()
    harness.presence.speak()
    harness.after(BEAT_S)
    assert len(await harness.told(1)) == 1
    harness.presence.silence()
    harness.presence.speak()
    harness.presence.forget()
    harness.after(60)
    assert harness.counted("diff") == 1


async def test_a_gateway_that_says_where_it_stands_is_told_what_there_is(harness):
    """Without names."""
    harness.presence.speak()
    harness.presence.number_said("g2", harness.fold)
    harness.after(BEAT_S)
    assert await harness.told(1) == [("g2", PresenceDiff("a", 1, 0, 0, 0))]


@pytest.mark.parametrize(("count", "counts_only"), [(2, False), (3, True)])
async def test_who_asks_is_answered_by_the_limit_of_the_namespace(harness, count, counts_only):
    """The page goes to the gateway of who has asked."""
    harness.join(count)
    harness.presence.queried(PresenceQuery("a", "g3~1", "r"), harness.fold)
    ((key, page),) = await harness.told(1)
    assert isinstance(page, PresencePage)
    assert (key, page.users, page.counts_only, harness.counted("page")) == ("g3", count, counts_only, 1)


async def test_nobody_is_answered_before_all_routers_know_of_presence(harness):
    """The log's version says so: an answer is the sign by which gateways begin to write of it."""
    old = Fold(0, 1)
    old.apply(0, encode([Rules("life", 1, 9, 9, 9, 1)]))
    harness.presence.queried(PresenceQuery("a", "g1~0", "old"), old)
    harness.presence.queried(PresenceQuery("a", "g1~0", "new"), harness.fold)
    assert [page.ref for _, page in await harness.told(1)] == ["new"]
    assert harness.counted("page") == 1
