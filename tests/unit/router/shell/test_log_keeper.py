"""LogKeeper: what a speaker writes, and nothing once it does not speak; the rest of its work is seen in ``test_shard.py``."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES
from tests.support.shard_ground import Ground

from router.core.fold import Fold
from router.shell.log_keeper import LogKeeper
from warren.envelope import Batch, Gone, Hello, Mark, RouterHeartbeat, Rules, Spoken, decode
from warren.errors import NotConfirmed


class Stand(Ground):
    def __init__(self):
        super().__init__()
        self.speaks = True
        self.keeper = LogKeeper(0, self.context, lambda: self.speaks)
        self.fold = Fold(0, 1)

    def apply(self, *envelopes):
        self.log.put(*envelopes)
        offset = self.log.end - 1
        self.fold.apply(offset, self.log.entries[offset])
        self.keeper.entered(len(self.log.entries[offset]))

    async def keep(self, *, nothing=False):
        """Write what is due; return what has been written so far."""
        self.keeper.keep(self.fold, nothing=nothing)
        await eventually(lambda: not self.keeper.waiting)
        return [decode(published.body)[0] for published in self.log.published]


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    await stand.keeper.close()


async def test_a_log_without_rules_gets_them_and_nothing_else(stand):
    """What else there is to write means nothing without a life."""
    stand.listened = True
    (rules,) = await stand.keep()
    assert isinstance(rules, Rules)
    assert (rules.version, rules.ids, rules.anew) == (1, 100, False)
    assert rules.life


async def test_each_life_of_a_log_has_a_name_of_its_own(stand):
    """Never used before."""
    other = Stand()
    (first,), (second,) = await stand.keep(), await other.keep()
    assert first.life != second.life
    await other.keeper.close()


async def test_other_bounds_are_written_into_the_life_that_is_there(stand):
    """It goes on."""
    stand.apply(Rules("life", 1, 7, 7, 7, 1))
    written = await stand.keep()
    assert [(each.life, each.ids, each.anew) for each in written if isinstance(each, Rules)] == [("life", 100, False)]


async def test_ends_and_marks_are_written_where_they_are_due(stand):
    """A gateway without a lease, once heartbeats were heard for long enough; a first checkpoint as soon as there is anything."""
    stand.apply(RULES)
    stand.apply(Batch("g1", 1, 1, 1), Hello())
    assert [type(each) for each in await stand.keep()] == [Mark]
    stand.listened = True
    assert [type(each) for each in await stand.keep()] == [Mark, Gone]
    assert [type(each) for each in await stand.keep()] == [Mark, Gone]


async def test_a_lost_log_is_left_to_who_speaks_for_it(stand):
    """It knows what the log was; without one a life begins anew."""
    stand.routers.heartbeat(RouterHeartbeat("r2", 1, shards=(Spoken(0, "life", 0, -1),)), 0.0)
    assert await stand.keep(nothing=True) == []
    stand.routers.leaving("r2")
    (rules,) = await stand.keep(nothing=True)
    assert rules.anew


@pytest.mark.parametrize("forked", [False, True])
async def test_a_log_that_forked_begins_anew(stand, forked):
    """Where it is the same life that is read again, and another entry stands in the last one's place."""
    stand.apply(RULES)
    before, stand.fold = stand.fold, Fold(0, 1)
    stand.fold.apply(0, stand.log.entries[0])
    stand.keeper.begin(stand.fold, before, forked=forked)
    assert [each.anew for each in await stand.keep() if isinstance(each, Rules)] == [True] * forked


async def test_who_does_not_speak_writes_nothing(stand):
    """What was put on its way is given up."""
    stand.speaks = False
    assert await stand.keep() == []


async def test_a_life_is_begun_once_while_the_log_takes_nothing(stand):
    """Each of the rules written later would end the life before. Once they stand in the log they have a while to be read."""
    stand.log.held = True
    for _ in range(4):
        stand.keeper.keep(stand.fold, nothing=True)
        stand.clock.advance(6.0)
    stand.log.release()
    assert [each.anew for each in await stand.keep(nothing=True)] == [True]
    stand.clock.advance(6.0)
    assert len(await stand.keep(nothing=True)) == 2


@pytest.mark.parametrize("again", [False, True])
async def test_a_life_that_has_begun_meanwhile_is_not_ended(stand, again):
    """By another's rules, or at a checkpoint where it is read anew: ours that still wait are given up, and nothing else."""
    stand.log.script("0", NotConfirmed())
    stand.log.held = True
    stand.keeper.keep(stand.fold, nothing=True)
    stand.keeper._writer.put(Mark("r1", 1))
    await eventually(lambda: stand.log.published)
    stand.apply(RULES)
    if again:
        stand.keeper.begin(stand.fold, Fold(0, 1), forked=False)
    else:
        stand.keeper.life_began()
    stand.log.release()
    assert [type(each) for each in await stand.keep()][:2] == [Rules, Mark]
    assert [type(decode(body)[0]) for body in stand.log.entries.values()].count(Rules) == 1
