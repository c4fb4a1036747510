"""HistoryBackfill: what was said before the checkpoint at which a reader has begun."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock

from router.core.fold import Fold
from router.core.history import History
from router.shell import history_backfill, retrying_publisher, shard_log
from router.shell.history_backfill import HistoryBackfill
from router.shell.shard_log import ShardLog
from warren.envelope import Batch, Hello, Publish, Rules
from warren.namespaces import HistoryPolicy
from warren.topology import Topology

NOW_US = 1_000_000_000_000
MINUTE_MS = 60_000


class Harness:
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
                Batch("g1", 1, self.numbers + 1, 1),
                Publish("a", "CHAT", b"%d" % self.said, NOW_US, "g1~1", "u"),
            )

    def begin(self, offset):
        """Fill what lies before ``offset``, for a reader that is at the log's end; return its fold."""
        fold = Fold(0, 1)
        for at in sorted(self.log.entries):
            fold.apply(at, self.log.entries[at])
        self.present = fold
        # The reader has begun there, and has read on since.
        begun = Fold.restored(0, 1, offset, fold.parts()[0]) if offset >= 0 else fold
        self.filler = HistoryBackfill(
            ShardLog(self.log, Topology(shards=1), 0, prefetch=8),
            router_context(self.log, clock=ManualClock(NOW_US)),
            begun,
            self,
        )
        self.filler.start(300)
        begun.offset = fold.offset
        return begun

    def empty(self):
        return History(10**7, 10**7, 0)

    def keep(self, history, message):
        history.put(message, HistoryPolicy(1_000, 300), NOW_US)

    def filled(self, history):
        self.whole = history

    def kept(self):
        return [message.seq for message in self.whole._windows.get("a").messages]


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "PATIENCE_S", 0.05)
    monkeypatch.setattr(retrying_publisher, "LONGEST_PAUSE_S", 0.001)
    monkeypatch.setattr(history_backfill, "LONGEST_PAUSE_S", 0.001)
    harness = Harness()
    harness.log.put(RULES)
    harness.log.put(Batch("g1", 1, 1, 1), Hello())
    yield harness
    task = harness.filler.stop() if harness.filler is not None else None
    if task is not None:
        await asyncio.gather(task, return_exceptions=True)


async def test_it_begins_at_an_older_checkpoint_and_reads_up_to_the_reader(harness):
    """The history then is that of the reader's fold, without a hole; what lies further back than histories
    reach is not read.
    """
    harness.say(3)
    older = harness.log.marked()
    harness.say(2)
    harness.log.now_ms = NOW_US // 1_000
    newer = harness.log.marked()
    harness.say(4)
    harness.begin(newer)
    await eventually(lambda: harness.filler.over)
    assert harness.kept() == [4, 5, 6, 7, 8, 9]
    assert harness.log.starts[-1] == older


async def test_without_an_older_checkpoint_a_whole_log_is_read_from_its_beginning(harness):
    """It is all there."""
    harness.say(3)
    mark = harness.log.marked()
    harness.say(1)
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert harness.kept() == [1, 2, 3, 4]


async def test_without_a_beginning_nothing_is_filled(harness):
    """The history stays as it is."""
    harness.say(3)
    mark = harness.log.marked()
    harness.log.drop(1)
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert harness.whole is None


async def test_what_was_dropped_meanwhile_ends_it(harness):
    """There would be a hole."""
    harness.say(3)
    mark = harness.log.marked()
    del harness.log.entries[2], harness.log.entries[3]
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert harness.whole is None


async def test_a_number_that_the_broker_keeps_for_itself_is_no_hole(harness):
    """One at each new segment."""
    harness.say(2)
    harness.log.put(
        Batch("g1", 1, 50, 1), Publish("a", "CHAT", b"x", NOW_US, "g1~1", "u"), at=harness.log.end + 1
    )
    mark = harness.log.marked()
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert harness.kept() == [1, 2, 3]


async def test_a_life_that_began_anew_has_no_history_from_before(harness):
    """All that was before it is void."""
    harness.say(3)
    harness.log.put(Rules("second", 1, 9, 9, 9, 1, anew=True))
    harness.log.put(Batch("g1", 1, 1, 1), Hello())
    harness.numbers = 1
    harness.say(2)
    mark = harness.log.marked()
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert [message.epoch for message in harness.whole._windows.get("a").messages] == ["second-1"] * 2


async def test_a_lost_connection_has_it_begin_again(harness):
    """From the same place."""
    harness.say(3)
    mark = harness.log.marked()
    harness.log.breaks = 3
    harness.begin(mark)
    await eventually(lambda: harness.filler.over)
    assert harness.kept() == [1, 2, 3]
