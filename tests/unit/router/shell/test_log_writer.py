"""LogWriter: records of its own, one after the other, until each is confirmed."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.core.shard_role import ShardRole, State
from router.shell import retrying_publisher as module
from router.shell.log_writer import LogWriter
from router.shell.retrying_publisher import RetryingPublisher
from warren.envelope import Gone, Mark, Rules, decode
from warren.errors import NotConfirmed
from warren.topology import Topology


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        self.role = ShardRole("r1")
        self.role.state = State.SPEAKING
        self.confirmed = []
        self.writer = LogWriter(RetryingPublisher(self.bus), Topology(), 3, self.role)

    def put(self, entry):
        self.writer.put(entry, lambda: self.confirmed.append(entry))

    def written(self):
        return [decode(published.body) for published in self.bus.published]


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.writer.close()


async def test_each_is_a_record_of_its_own_in_order(harness):
    """Persistent and mandatory, by the key of the shard, the next one only once the last one is confirmed."""
    mark, gone = Mark("r1", 1), Gone("g", 1, 2)
    harness.bus.held = True
    harness.put(mark)
    harness.put(gone)
    await eventually(lambda: harness.bus.published)
    assert (harness.written(), harness.confirmed, harness.writer.waiting) == ([[mark]], [], 2)
    harness.bus.release()
    await eventually(lambda: harness.confirmed == [mark, gone])
    assert harness.written() == [[mark], [gone]]
    assert {(each.exchange, each.key, each.mandatory, each.persistent) for each in harness.bus.published} == {
        ("warren.ingress", "3", True, True)
    }


async def test_what_is_not_confirmed_is_written_again(harness):
    """The same bytes; it counts once."""
    harness.bus.script("3", NotConfirmed(), NotConfirmed())
    harness.put(Mark("r1", 1))
    await eventually(lambda: harness.confirmed)
    assert harness.written() == [[Mark("r1", 1)]] * 3


async def test_a_life_is_begun_anew_once(harness):
    """Behind another router's the same Rules would begin the same life again: who wants one makes other
    Rules. What waits behind goes on.
    """
    anew, mark = Rules("life", 1, 1, 1, 1, 1, anew=True), Mark("r1", 1)
    harness.bus.script("3", NotConfirmed())
    harness.put(anew)
    harness.put(mark)
    await eventually(lambda: harness.confirmed)
    assert (harness.written(), harness.confirmed) == ([[anew], [mark]], [mark])


async def test_who_speaks_no_more_writes_no_more(harness):
    """What waits is dropped, though the last one is not confirmed."""
    harness.bus.script("3", NotConfirmed())
    harness.put(Mark("r1", 1))
    harness.put(Mark("r1", 2))
    harness.role.state = State.FOLLOWING
    await eventually(lambda: not harness.writer.waiting)
    assert harness.confirmed == []
    assert len(harness.bus.published) <= 1


async def test_closed_it_gives_up(harness):
    """Nothing is left behind."""
    harness.bus.held = True
    harness.put(Mark("r1", 1))
    await eventually(lambda: harness.bus.published)
    await harness.writer.close()
    assert harness.writer.waiting == 0


async def test_what_is_no_longer_wanted_is_not_written(harness):
    """Neither the first, which is being repeated, nor one behind it; the others are."""
    harness.bus.script("3", NotConfirmed())
    harness.bus.held = True
    marks, gone = [Mark("r1", number) for number in range(2)], Gone("g", 1, 2)
    for entry in (marks[0], gone, marks[1]):
        harness.put(entry)
    await eventually(lambda: harness.bus.published)
    assert (harness.writer.waits(Mark), harness.writer.waits(Gone)) == (True, True)
    harness.writer.drop(lambda entry: isinstance(entry, Mark))
    assert (harness.writer.waits(Mark), harness.writer.waiting) == (False, 1)
    harness.bus.release()
    await eventually(lambda: harness.confirmed)
    assert harness.confirmed == [gone]
    assert harness.written() == [[marks[0]], [gone]]
