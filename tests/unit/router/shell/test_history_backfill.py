"""HistoryBackfill: what was said before the checkpoint at which a reader has begun."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream
from tests.support.scripted_bus import ManualClock

from router.core.fold import Fold
from router.core.history import History
from router.shell import history_backfill, log_beginning, retrying_publisher
from router.shell.history_backfill import HistoryBackfill
from router.shell.log_beginning import LogBeginning
from router.shell.retrying_publisher import RetryingPublisher
from warren.envelope import Batch, Hello, Publish, Rules
from warren.namespaces import HistoryPolicy

NOW_US = 1_000_000_000_000
MINUTE_MS = 60_000


class Stand:
    def __init__(self):
        self.log = LogStream()
        self.log.now_ms = NOW_US // 1_000 - 10 * MINUTE_MS
        self.said = self.numbers = 0
        self.whole = None
        self.filler = None

    def say(self, count):
        """Write so many messages into the log."""
        for _ in range(count):
            self.said += 1
            self.numbers += 1
            self.log.put(
                Batch("g1", 1, self.numbers + 1, 1), Publish("a", "CHAT", b"%d" % self.said, NOW_US, "g1~1", "u")
            )

    def begin(self, offset):
        """Fill what lies before ``offset``, for a reader that is at the log's end; return its fold."""
        fold = Fold(0, 1)
        for at in sorted(self.log.entries):
            fold.apply(at, self.log.entries[at])
        self.present = fold
        # The reader has begun there, and has read on since.
        begun = Fold.restored(0, 1, offset, fold.parts()[0]) if offset >= 0 else fold
        beginning = LogBeginning(self.log, "log", ManualClock(NOW_US), 0, 1, prefetch=8)
        self.filler = HistoryBackfill(
            self.log,
            "log",
            RetryingPublisher(self.log),
            beginning,
            begun,
            self._made,
            self._keep,
            self._filled,
            prefetch=8,
        )
        self.filler.start(300)
        begun.offset = fold.offset
        return begun

    def _made(self):
        return History(10**7, 10**7, 0)

    def _keep(self, history, message):
        history.put(message, HistoryPolicy(1_000, 300), NOW_US)

    def _filled(self, history):
        self.whole = history

    def kept(self):
        return [message.seq for message in self.whole._windows["a"].entries]


@pytest_asyncio.fixture
async def stand(monkeypatch: pytest.MonkeyPatch):
    for module in (log_beginning, history_backfill):
        monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(retrying_publisher, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(history_backfill, "LONGEST_PAUSE_S", 0.001)
    stand = Stand()
    stand.log.put(RULES)
    stand.log.put(Batch("g1", 1, 1, 1), Hello())
    yield stand
    task = stand.filler.stop() if stand.filler is not None else None
    if task is not None:
        await asyncio.gather(task, return_exceptions=True)


async def test_it_begins_at_an_older_checkpoint_and_reads_up_to_the_reader(stand):
    """The history then is that of the reader's fold, without a hole; what lies further back than histories reach is not read."""
    stand.say(3)
    older = stand.log.marked()
    stand.say(2)
    stand.log.now_ms = NOW_US // 1_000
    newer = stand.log.marked()
    stand.say(4)
    stand.begin(newer)
    await eventually(lambda: stand.filler.over)
    assert stand.kept() == [4, 5, 6, 7, 8, 9]
    assert stand.log.starts[-1] == older


async def test_without_an_older_checkpoint_a_whole_log_is_read_from_its_beginning(stand):
    """It is all there."""
    stand.say(3)
    mark = stand.log.marked()
    stand.say(1)
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert stand.kept() == [1, 2, 3, 4]


async def test_without_a_beginning_nothing_is_filled(stand):
    """The history stays as it is."""
    stand.say(3)
    mark = stand.log.marked()
    stand.log.drop(1)
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert stand.whole is None


async def test_what_was_dropped_meanwhile_ends_it(stand):
    """There would be a hole."""
    stand.say(3)
    mark = stand.log.marked()
    del stand.log.entries[2], stand.log.entries[3]
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert stand.whole is None


async def test_a_number_that_the_broker_keeps_for_itself_is_no_hole(stand):
    """One at each new segment."""
    stand.say(2)
    stand.log.put(Batch("g1", 1, 50, 1), Publish("a", "CHAT", b"x", NOW_US, "g1~1", "u"), at=stand.log.end + 1)
    mark = stand.log.marked()
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert stand.kept() == [1, 2, 3]


async def test_a_life_that_began_anew_has_no_history_from_before(stand):
    """All that was before it is void."""
    stand.say(3)
    stand.log.put(Rules("second", 1, 9, 9, 9, 1, anew=True))
    stand.log.put(Batch("g1", 1, 1, 1), Hello())
    stand.numbers = 1
    stand.say(2)
    mark = stand.log.marked()
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert [message.epoch for message in stand.whole._windows["a"].entries] == ["second-1"] * 2


async def test_a_lost_connection_has_it_begin_again(stand):
    """From the same place."""
    stand.say(3)
    mark = stand.log.marked()
    stand.log.breaks = 3
    stand.begin(mark)
    await eventually(lambda: stand.filler.over)
    assert stand.kept() == [1, 2, 3]
