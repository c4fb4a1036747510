"""TruncationDetector: a log that has lost its end is told from a reader that lags behind."""

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream

from router.shell import shard_log
from router.shell.shard_log import ShardLog
from router.shell.truncation_detector import PATIENCE_S, TruncationDetector
from warren.envelope import Gone
from warren.topology import Topology


class Harness:
    def __init__(self):
        self.log = LogStream()
        self.log.put(RULES)
        self.end = TruncationDetector(ShardLog(self.log, Topology(shards=1), 0, prefetch=8))

    async def asked(self):
        """Wait until the log has been asked."""
        await eventually(lambda: self.end._task is None)


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "EMPTY_S", 0.02)
    harness = Harness()
    yield harness
    await harness.end.close()


async def test_what_somebody_was_told_of_and_the_log_does_not_have_is_lost(harness):
    """After a while, for a reader that has read all there is, and not before two nodes more have said so: the
    first may be behind.
    """
    harness.end.heard(5, 10.0)
    harness.end.look(0, 10.0 + PATIENCE_S - 0.1)
    assert harness.log.starts == []
    harness.end.look(0, 10.0 + PATIENCE_S)
    await harness.asked()
    assert (harness.end.lost, harness.log.asked, harness.log.moves) == (False, 1, 1)
    harness.end.look(0, 10.0 + 2 * PATIENCE_S)
    await eventually(lambda: harness.end.lost)
    assert harness.log.asked == 2
    harness.end.begin()
    assert not harness.end.lost


async def test_a_reader_that_lags_behind_is_no_loss(harness):
    """The log has more than was read; later it has read what was told."""
    for _ in range(5):
        last = harness.log.put(Gone("g", 1, 1))
    harness.end.heard(last, 0.0)
    harness.end.look(2, PATIENCE_S)
    await harness.asked()
    assert not harness.end.lost
    assert harness.log.starts == ["last"]
    harness.end.look(last, 2 * PATIENCE_S)
    harness.end.look(0, 9 * PATIENCE_S)
    assert harness.log.starts == ["last"]


async def test_a_broker_that_does_not_answer_is_no_loss(harness):
    """It is asked again later."""
    harness.end.heard(5, 0.0)
    harness.log.breaks = 1
    harness.end.look(0, PATIENCE_S)
    await harness.asked()
    assert not harness.end.lost
    for times in (2, 3):
        harness.end.look(0, times * PATIENCE_S)
        await harness.asked()
    assert harness.end.lost


async def test_one_node_that_is_behind_is_no_loss(harness):
    """Asked by another way, the log has more."""
    harness.log.put(Gone("g", 1, 1))
    behind = harness.log.entries.pop(1)
    harness.end.heard(1, 0.0)
    harness.end.look(0, PATIENCE_S)
    await harness.asked()
    harness.log.entries[1] = behind
    harness.end.look(0, 2 * PATIENCE_S)
    await harness.asked()
    assert not harness.end.lost


async def test_an_empty_log_says_nothing(harness):
    """It may be slow; and where it is empty a life begins anyway."""
    harness.log.entries.clear()
    harness.end.heard(5, 0.0)
    harness.end.look(0, PATIENCE_S)
    await harness.asked()
    assert not harness.end.lost


async def test_another_entry_in_the_place_of_one_that_was_read_is_a_loss(harness):
    """At once."""
    harness.end.forked()
    assert harness.end.lost
