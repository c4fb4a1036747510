"""ShardHistory: what is kept by the rooms' policies, and who is not answered yet."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.shard_ground import Ground

from router.core.fold import Fold
from router.shell import log_beginning
from router.shell.shard_history import ShardHistory
from warren.envelope import Batch, Deliver, Hello, HistoryQuery, Join, Publish, Read, Rules
from warren.namespaces import Namespaces

NOW_US = 1_000_000_000_000
RULES = Rules("life", 1, 100, 100, 100, 1)


class Stand(Ground):
    def __init__(self):
        super().__init__(namespaces=Namespaces.parse("[{name: n, pattern: 'fleeting*', history: off}]"))
        self.history = ShardHistory(0, self.context)
        self.log.put(RULES)
        self.log.put(Batch("g1", 1, 1, 1), Hello())

    def say(self, room, number):
        self.log.put(
            Batch("g1", 1, number, 1), Join(room, "g1~1", "u"), Publish(room, "CHAT", b"1", NOW_US, "g1~1", "u")
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
async def stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_beginning, "PATIENCE_S", 0.05)
    stand = Stand()
    yield stand
    task = stand.history.forget()
    if task is not None:
        await eventually(task.done)


async def test_only_rooms_that_have_a_history_are_kept(stand):
    """As their namespace says."""
    stand.say("a", 2)
    stand.say("fleeting", 3)
    fold = stand.read()
    kept = [stand.history.page(Read("g1", 0, room, "life-1", 0, 1, 1), fold).kept for room in ("a", "fleeting")]
    assert kept == [True, False]
    stand.history.forget()
    assert not stand.history.page(Read("g1", 0, "a", "life-1", 0, 1, 1), fold).kept


async def test_while_it_is_filled_who_asks_for_what_is_not_there_is_not_answered(stand):
    """It asks again; who asks for what is there is answered. Filled, all are."""
    stand.say("a", 2)
    mark = stand.log.marked()
    fold = stand.read()
    stand.history.forget()
    begun = Fold.restored(0, 1, mark, fold.parts()[0])
    stand.log.breaks = 1
    stand.history.begin(begun)
    asked = Read("g1", 0, "a", "life-1", 0, 1, 1)
    assert stand.history.filling
    assert stand.history.page(asked, begun) is None
    assert stand.history.history_page(HistoryQuery("a", "g1~1", "r"), begun) is None
    assert stand.history.page(Read("g1", 0, "a", "life-1", 1, 1, 1), begun).whole
    await eventually(lambda: not stand.history.filling)
    assert [message.seq for message in stand.history.page(asked, begun).messages] == [1]
    assert len(stand.history.history_page(HistoryQuery("a", "g1~1", "r"), begun).messages) == 1


async def test_a_log_that_is_read_from_its_first_entry_has_nothing_to_fill(stand):
    """All comes by itself."""
    stand.history.begin(Fold(0, 1))
    assert not stand.history.filling
    assert stand.log.starts == []


async def test_what_has_aged_goes_though_nothing_is_said(stand):
    """By the clock."""
    stand.say("a", 2)
    fold = stand.read()
    stand.clock.advance(3_600.0)
    stand.history.tidy()
    assert not stand.history.page(Read("g1", 0, "a", "life-1", 0, 1, 1), fold).kept
