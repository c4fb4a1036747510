"""LogWriter: records of its own, one after the other, until each is confirmed."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.shell import retrying_publisher as module
from router.shell.log_writer import LogWriter
from router.shell.retrying_publisher import RetryingPublisher
from warren.envelope import Gone, Mark, Rules, decode
from warren.errors import NotConfirmed
from warren.topology import Topology


class Stand:
    def __init__(self):
        self.bus = ScriptedBus()
        self.wanted = True
        self.confirmed = []
        self.writer = LogWriter(RetryingPublisher(self.bus), Topology(), 3, lambda: self.wanted)

    def put(self, entry):
        self.writer.put(entry, lambda: self.confirmed.append(entry))

    def written(self):
        return [decode(published.body) for published in self.bus.published]


@pytest_asyncio.fixture
async def stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    stand = Stand()
    yield stand
    stand.bus.release()
    await stand.writer.close()


async def test_each_is_a_record_of_its_own_in_order(stand):
    """Persistent and mandatory, by the key of the shard, the next one only once the last one is confirmed."""
    mark, gone = Mark("r1", 1), Gone("g", 1, 2)
    stand.bus.held = True
    stand.put(mark)
    stand.put(gone)
    await eventually(lambda: stand.bus.published)
    assert (stand.written(), stand.confirmed, stand.writer.waiting) == ([[mark]], [], 2)
    stand.bus.release()
    await eventually(lambda: stand.confirmed == [mark, gone])
    assert stand.written() == [[mark], [gone]]
    assert {(each.exchange, each.key, each.mandatory, each.persistent) for each in stand.bus.published} == {
        ("warren.ingress", "3", True, True)
    }


async def test_what_is_not_confirmed_is_written_again(stand):
    """The same bytes; it counts once."""
    stand.bus.script("3", NotConfirmed(), NotConfirmed())
    stand.put(Mark("r1", 1))
    await eventually(lambda: stand.confirmed)
    assert stand.written() == [[Mark("r1", 1)]] * 3


async def test_a_life_is_begun_anew_once(stand):
    """Behind another router's the same Rules would begin the same life again: who wants one makes other Rules. What waits behind goes on."""
    anew, mark = Rules("life", 1, 1, 1, 1, 1, anew=True), Mark("r1", 1)
    stand.bus.script("3", NotConfirmed())
    stand.put(anew)
    stand.put(mark)
    await eventually(lambda: stand.confirmed)
    assert (stand.written(), stand.confirmed) == ([[anew], [mark]], [mark])


async def test_who_speaks_no_more_writes_no_more(stand):
    """What waits is dropped, though the last one is not confirmed."""
    stand.bus.script("3", NotConfirmed())
    stand.put(Mark("r1", 1))
    stand.put(Mark("r1", 2))
    stand.wanted = False
    await eventually(lambda: not stand.writer.waiting)
    assert stand.confirmed == []
    assert len(stand.bus.published) <= 1


async def test_closed_it_gives_up(stand):
    """Nothing is left behind."""
    stand.bus.held = True
    stand.put(Mark("r1", 1))
    await eventually(lambda: stand.bus.published)
    await stand.writer.close()
    assert stand.writer.waiting == 0


async def test_what_is_no_longer_wanted_is_not_written(stand):
    """Neither the first, which is being repeated, nor one behind it; the others are."""
    stand.bus.script("3", NotConfirmed())
    stand.bus.held = True
    marks, gone = [Mark("r1", number) for number in range(2)], Gone("g", 1, 2)
    for entry in (marks[0], gone, marks[1]):
        stand.put(entry)
    await eventually(lambda: stand.bus.published)
    assert (stand.writer.waits(Mark), stand.writer.waits(Gone)) == (True, True)
    stand.writer.drop(lambda entry: isinstance(entry, Mark))
    assert (stand.writer.waits(Mark), stand.writer.waiting) == (False, 1)
    stand.bus.release()
    await eventually(lambda: stand.confirmed)
    assert stand.confirmed == [gone]
    assert stand.written() == [[marks[0]], [gone]]
