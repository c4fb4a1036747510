"""LogMaintainer: what a speaker writes, and nothing once it does not speak; the rest of its work is seen in
``test_shard.py``.
"""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES
from tests.support.shard_harness import ShardHarness

from router.core.fold import FOLD_VERSION, Fold
from router.core.shard_role import ShardRole, State
from router.shell.log_maintainer import LogMaintainer
from router.shell.shard_log import ShardLog
from warren.envelope import (
    Batch,
    Gone,
    Heartbeat,
    Hello,
    Mark,
    RouterHeartbeat,
    Rules,
    SpeakerProgress,
    decode,
)
from warren.errors import NotConfirmed


class Harness(ShardHarness):
    def __init__(self):
        super().__init__()
        self.role = ShardRole("r1")
        self.role.state = State.SPEAKING
        log = ShardLog(self.log, self.topology, 0, prefetch=8)
        self.maintainer = LogMaintainer(log, self.context, self.role)
        self.fold = Fold(0, 1)

    def apply(self, *envelopes):
        self.log.put(*envelopes)
        offset = self.log.end - 1
        self.fold.apply(offset, self.log.entries[offset])
        self.maintainer.entered(len(self.log.entries[offset]))

    async def keep(self, *, nothing=False):
        """Write what is due; return what has been written so far."""
        self.maintainer.keep(self.fold, nothing=nothing)
        await eventually(lambda: not self.maintainer.waiting)
        return [decode(published.body)[0] for published in self.log.published]


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.maintainer.close()


async def test_a_log_without_rules_gets_them_and_nothing_else(harness):
    """What else there is to write means nothing without a life."""
    harness.listen()
    (rules,) = await harness.keep()
    assert isinstance(rules, Rules)
    assert (rules.version, rules.ids, rules.anew) == (FOLD_VERSION, 100, False)
    assert rules.life


async def test_each_life_of_a_log_has_a_name_of_its_own(harness):
    """Never used before."""
    other = Harness()
    (first,), (second,) = await harness.keep(), await other.keep()
    assert first.life != second.life
    await other.maintainer.close()


async def test_other_bounds_are_written_into_the_life_that_is_there(harness):
    """It goes on."""
    harness.apply(Rules("life", FOLD_VERSION, 7, 7, 7, 1))
    written = await harness.keep()
    assert [(each.life, each.ids, each.anew) for each in written if isinstance(each, Rules)] == [
        ("life", 100, False)
    ]


async def test_a_log_is_for_a_newer_fold_once_all_gateways_can_read_what_that_says(harness):
    """And once it is known which there are."""

    async def versions():
        return [each.version for each in await harness.keep() if isinstance(each, Rules)]

    harness.apply(Rules("life", 1, 100, 100, 100, 1))
    assert await versions() == []
    harness.listen()
    harness.gateways.heartbeat(Heartbeat("old", 1), harness.clock.monotonic())
    harness.gateways.heartbeat(Heartbeat("new", 1, fold_version=FOLD_VERSION), harness.clock.monotonic())
    assert await versions() == []
    harness.gateways.end("old")
    assert await versions() == [FOLD_VERSION]


async def test_ends_and_marks_are_written_where_they_are_due(harness):
    """A gateway without a lease, once heartbeats were heard for long enough; a first checkpoint as soon as
    there is anything.
    """
    harness.apply(RULES)
    harness.apply(Batch("g1", 1, 1, 1), Hello())
    assert [type(each) for each in await harness.keep()] == [Mark]
    harness.listen()
    assert [type(each) for each in await harness.keep()] == [Mark, Gone]
    assert [type(each) for each in await harness.keep()] == [Mark, Gone]


async def test_a_lost_log_is_left_to_who_speaks_for_it(harness):
    """It knows what the log was; without one a life begins anew."""
    harness.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(SpeakerProgress(0, "life", 0, -1),)), 0.0)
    assert await harness.keep(nothing=True) == []
    harness.routers.end("r2")
    (rules,) = await harness.keep(nothing=True)
    assert rules.anew


@pytest.mark.parametrize("forked", [False, True])
async def test_a_log_that_forked_begins_anew(harness, forked):
    """Where it is the same life that is read again, and another entry stands in the last one's place."""
    harness.apply(RULES)
    before, harness.fold = harness.fold, Fold(0, 1)
    harness.fold.apply(0, harness.log.entries[0])
    harness.maintainer.begin(harness.fold, before, forked=forked)
    assert [each.anew for each in await harness.keep() if isinstance(each, Rules)] == [True] * forked


async def test_who_does_not_speak_writes_nothing(harness):
    """What was put on its way is given up."""
    harness.role.state = State.FOLLOWING
    assert await harness.keep() == []


async def test_a_life_is_begun_once_while_the_log_takes_nothing(harness):
    """Each of the rules written later would end the life before. Once they stand in the log they have a while
    to be read.
    """
    harness.log.held = True
    for _ in range(4):
        harness.maintainer.keep(harness.fold, nothing=True)
        harness.clock.advance(6.0)
    harness.log.release()
    assert [each.anew for each in await harness.keep(nothing=True)] == [True]
    harness.clock.advance(6.0)
    assert len(await harness.keep(nothing=True)) == 2


@pytest.mark.parametrize("again", [False, True])
async def test_a_life_that_has_begun_meanwhile_is_not_ended(harness, again):
    """By another's rules, or at a checkpoint where it is read anew: ours that still wait are given up, and
    nothing else.
    """
    harness.log.script("0", NotConfirmed())
    harness.log.held = True
    harness.maintainer.keep(harness.fold, nothing=True)
    harness.maintainer._writer.put(Mark("r1", 1))
    await eventually(lambda: harness.log.published)
    harness.apply(RULES)
    if again:
        harness.maintainer.begin(harness.fold, Fold(0, 1), forked=False)
    else:
        harness.maintainer.life_began()
    harness.log.release()
    assert [type(each) for each in await harness.keep()][:2] == [Rules, Mark]
    assert [type(decode(body)[0]) for body in harness.log.entries.values()].count(Rules) == 1
