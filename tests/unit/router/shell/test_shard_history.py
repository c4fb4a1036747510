"""ShardHistory: what is kept by the rooms' policies, and who is not answered yet."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.shard_harness import ShardHarness

from router.core.fold import Fold
from router.shell import shard_log
from router.shell.shard_history import ShardHistory
from router.shell.shard_log import ShardLog
from warren.envelope import Batch, Deliver, Hello, HistoryQuery, Join, Publish, Read, Rules
from warren.namespaces import Namespaces

NOW_US = 1_000_000_000_000
RULES = Rules("life", 1, 100, 100, 100, 1)


class Harness(ShardHarness):
    def __init__(self):
        super().__init__(namespaces=Namespaces.parse("[{name: n, pattern: 'fleeting*', history: off}]"))
        self.history = ShardHistory(ShardLog(self.log, self.topology, 0, prefetch=8), self.context)
        self.log.put(RULES)
        self.log.put(Batch("g1", 1, 1, 1), Hello())

    def say(self, room, number):
        self.log.put(
            Batch("g1", 1, number, 1),
            Join(room, "g1~1", "u"),
            Publish(room, "CHAT", b"1", NOW_US, "g1~1", "u"),
        )

    def read(self):
        """Return the fold of all that stands in the log."""
        fold = Fold(0, 1)
        for offset in sorted(self.log.entries):
            for effect in fold.apply(offset, self.log.entries[offset]):
                message = getattr(effect, "message", None)
                if isinstance(message, Deliver):
                    self.history.put(message)
        return fold


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "PATIENCE_S", 0.05)
    harness = Harness()
    yield harness
    task = harness.history.forget()
    if task is not None:
        await eventually(task.done)


async def test_only_rooms_that_have_a_history_are_kept(harness):
    """As their namespace says."""
    harness.say("a", 2)
    harness.say("fleeting", 3)
    fold = harness.read()
    kept = [
        harness.history.page(Read("g1", 0, room, "life-1", 0, 1, 1), fold).kept for room in ("a", "fleeting")
    ]
    assert kept == [True, False]
    harness.history.forget()
    assert not harness.history.page(Read("g1", 0, "a", "life-1", 0, 1, 1), fold).kept


async def test_while_it_is_filled_who_asks_for_what_is_not_there_is_not_answered(harness):
    """It asks again; who asks for what is there is answered. Filled, all are."""
    harness.say("a", 2)
    mark = harness.log.marked()
    fold = harness.read()
    harness.history.forget()
    begun = Fold.restored(0, 1, mark, fold.parts()[0])
    harness.log.breaks = 1
    harness.history.begin(begun)
    asked = Read("g1", 0, "a", "life-1", 0, 1, 1)
    assert harness.history.filling
    assert harness.history.page(asked, begun) is None
    assert harness.history.history_page(HistoryQuery("a", "g1~1", "r"), begun) is None
    assert harness.history.page(Read("g1", 0, "a", "life-1", 1, 1, 1), begun).whole
    await eventually(lambda: not harness.history.filling)
    assert [message.seq for message in harness.history.page(asked, begun).messages] == [1]
    assert len(harness.history.history_page(HistoryQuery("a", "g1~1", "r"), begun).messages) == 1


async def test_a_log_that_is_read_from_its_first_entry_has_nothing_to_fill(harness):
    """All comes by itself."""
    harness.history.begin(Fold(0, 1))
    assert not harness.history.filling
    assert harness.log.starts == []


async def test_what_has_aged_goes_though_nothing_is_said(harness):
    """By the clock."""
    harness.say("a", 2)
    fold = harness.read()
    harness.clock.advance(3_600.0)
    harness.history.tidy()
    assert not harness.history.page(Read("g1", 0, "a", "life-1", 0, 1, 1), fold).kept
