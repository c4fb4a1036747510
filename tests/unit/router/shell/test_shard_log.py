"""ShardLog: read with patience, and its end by two ways."""

import asyncio

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.log_stream import RULES, LogStream

from router.shell import shard_log
from router.shell.shard_log import ShardLog
from warren.envelope import Gone
from warren.errors import BusUnavailable
from warren.topology import Topology

TOPOLOGY = Topology(shards=4)


class Harness:
    def __init__(self):
        self.stream = LogStream()
        self.log = ShardLog(self.stream, TOPOLOGY, 3, prefetch=8)
        self.read = []

    def take(self, record):
        self.read.append(record.offset)
        return record.offset < 2


@pytest_asyncio.fixture
async def harness(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shard_log, "EMPTY_S", 0.02)
    monkeypatch.setattr(shard_log, "PATIENCE_S", 0.02)
    return Harness()


def test_it_is_named_by_the_topology():
    """Its number stands among those of all."""
    log = Harness().log
    assert (log.shard, log.shards, log.name) == (3, 4, TOPOLOGY.log(3).name)


async def test_it_is_read_until_its_reader_has_enough(harness):
    """In order, from where it was asked for."""
    for number in range(5):
        harness.stream.put(Gone(f"g{number}", 1, 1))
    assert await harness.log.read(1, harness.take)
    assert harness.read == [1, 2]
    await harness.log.follow("first", harness.take)
    assert harness.read == [1, 2, 0, 1, 2]


async def test_silence_ends_a_reading_where_something_is_overdue(harness):
    """And only there: nothing may have been written."""
    harness.stream.put(RULES)
    asked = []

    async def overdue():
        asked.append(len(asked))
        return len(asked) == 2

    assert not await harness.log.read("first", harness.take, overdue=overdue)
    assert (harness.read, asked) == ([0], [0, 1])
    assert not await harness.log.read("first", harness.take, patience_s=0.01)


async def test_its_end_is_that_of_what_was_written_last(harness):
    """An empty one has none; a broker that does not answer is no empty log."""
    assert await harness.log.end() is None
    harness.stream.put(RULES)
    last = harness.stream.put(RULES)
    assert await harness.log.end() == await harness.log.end_elsewhere() == last
    harness.stream.breaks = 1
    with pytest.raises(BusUnavailable):
        await harness.log.end()


async def test_a_frozen_node_is_left_by_all_readers(harness):
    """Another way to the log may show more."""
    harness.log.move()
    assert harness.stream.moves == 1


async def test_a_reading_that_ends_while_it_is_asked_about_tells_its_end(harness):
    """And leaves no exception that nobody has looked at."""

    async def overdue() -> bool:
        harness.stream.cut()
        await eventually(
            lambda: f"tail-{harness.log.name}" not in {task.get_name() for task in asyncio.all_tasks()}
        )
        return True

    with pytest.raises(BusUnavailable):
        await harness.log.read("first", lambda _: True, overdue=overdue)
