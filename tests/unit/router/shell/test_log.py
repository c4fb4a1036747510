"""ShardLog: appended in order, in records of a bounded size, and never repeated."""

import asyncio

import pytest
from tests.support.scripted_bus import ScriptedBus

from router.shell.log import ShardLog
from warren.envelope import Deliver, Marker, decode
from warren.errors import NotConfirmed

STREAM = "warren.history.0"


def entry(seq, size=1):
    return Deliver("a", "1-1", seq, "CHAT", b"x" * size, 1, 1)


class Stand:
    async def open(self):
        self.bus = ScriptedBus()
        self.lane = await self.bus.lane(lambda: None)
        self.log = ShardLog(self.lane, STREAM, "r1")
        return self

    @property
    def records(self):
        return [decode(body) for body in self.bus.streams[STREAM]]


@pytest.fixture
async def stand():
    return await Stand().open()


async def test_what_is_appended_comes_in_order_in_records_of_a_bounded_size(stand):
    """An entry that is larger than that has one of its own."""
    entries = [entry(seq, size) for seq, size in enumerate([10, 200_000, 100_000, 300_000, 10, 10], 1)]
    await stand.log.append(entries)
    assert [found for record in stand.records for found in record] == entries
    assert [len(record) for record in stand.records] == [2, 1, 1, 2]


async def test_the_second_record_waits_for_the_first(stand):
    """Else one could be kept and the one before it lost."""
    stand.bus.held = True
    task = asyncio.create_task(stand.log.append([entry(1, 200_000), entry(2, 200_000)]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(stand.records) == 1
    stand.bus.release()
    await task
    assert len(stand.records) == 2


async def test_an_append_that_is_not_confirmed_is_not_repeated(stand):
    """Whoever asked for it is told, and what follows is not appended."""
    stand.lane.appends.append(NotConfirmed("nacked"))
    with pytest.raises(NotConfirmed):
        await stand.log.append([entry(1, 200_000), entry(2, 200_000)])
    assert len(stand.records) == 1


async def test_a_marker_names_its_router_and_term(stand):
    """In a record of its own."""
    await stand.log.mark(9)
    assert stand.records == [[Marker("r1", 9)]]
