"""Seat: a lane for as long as it is wanted."""

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.scripted_bus import Delivered, ScriptedBus

from router.shell.seat import Seat
from router.shell.steady import Steady
from warren.errors import BusUnavailable
from warren.topology import Topology


class Sitter:
    """Notes what it is told."""

    def __init__(self):
        self.told = []
        self.lane = None

    def opened(self, lane):
        self.lane = lane
        self.told.append("opened")

    def consuming(self):
        self.told.append("consuming")

    def delivered(self, delivery):
        self.told.append(delivery.body)

    def lost(self):
        self.told.append("lost")


class Stand:
    def __init__(self):
        self.bus = ScriptedBus()
        self.sitter = Sitter()
        self.wanted = True
        queue = Topology(shards=1).shard_queue(0)
        self.seat = Seat(self.bus, queue, Steady(self.bus), self.sitter, prefetch=7, wanted=lambda: self.wanted)

    async def sits(self, lanes=1):
        await eventually(lambda: len(self.bus.lanes) == lanes and self.sitter.told[-1:] == ["consuming"])
        return self.bus.lanes[-1]


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    await stand.seat.kill()


async def test_a_wanted_lane_is_opened_then_consumed(stand):
    """With its prefetch; what comes is handed over."""
    stand.seat.start()
    lane = await stand.sits()
    assert stand.sitter.told == ["opened", "consuming"]
    assert (lane.queue.name, lane.prefetch, stand.sitter.lane) == ("warren.shard.0", 7, lane)
    lane.deliver(Delivered(b"x"))
    assert stand.sitter.told[-1] == b"x"


async def test_a_lane_is_opened_when_it_becomes_wanted_and_closed_when_it_is_not(stand):
    """Each time somebody has it looked at."""
    stand.wanted = False
    stand.seat.start()
    stand.seat.look()
    assert stand.bus.lanes == []
    stand.wanted = True
    stand.seat.look()
    lane = await stand.sits()
    stand.wanted = False
    stand.seat.look()
    await eventually(lambda: lane.closed)
    assert (stand.seat.open, len(stand.bus.lanes)) == (False, 1)


async def test_a_lane_that_is_lost_is_told_once_and_opened_again(stand):
    """After that nothing of the old one is handed over."""
    stand.seat.start()
    old = await stand.sits()
    old.lose()
    assert stand.sitter.told[-1] == "lost"
    await stand.sits(2)
    old.lose()
    old.deliver(Delivered(b"late"))
    assert stand.sitter.told == ["opened", "consuming", "lost", "opened", "consuming"]


async def test_a_lane_that_is_left_is_closed_before_the_next_is_opened(stand):
    """And hands over nothing from that moment on, though it says that it is lost."""
    stand.seat.start()
    old = await stand.sits()
    stand.sitter.told.clear()
    stand.seat.leave()
    old.deliver(Delivered(b"late"))
    old.on_lost()
    assert (stand.sitter.told, stand.seat.open, len(stand.bus.lanes)) == ([], False, 1)
    await stand.sits(2)
    assert old.closed


async def test_it_tries_again_until_the_lane_is_there(stand):
    """Whether the lane or its queue can't be had."""
    stand.bus.laning.append(BusUnavailable("away"))
    stand.bus.consuming.append(BusUnavailable("no queue"))
    stand.seat.start()
    lane = await stand.sits(2)
    assert stand.sitter.told == ["opened", "lost", "opened", "consuming"]
    await eventually(lambda: stand.bus.lanes[0].closed)
    assert not lane.closed


async def test_while_the_broker_is_away_it_waits(stand):
    """And begins as soon as it is back."""
    stand.bus.tell(False)
    stand.seat.start()
    stand.seat.look()
    await eventually(lambda: stand.seat._news.is_set() is False)
    assert stand.bus.lanes == []
    stand.bus.tell(True)
    await stand.sits()


async def test_close_closes_the_lane_for_good(stand):
    """Nothing is opened any more, however much it is wanted."""
    stand.seat.start()
    lane = await stand.sits()
    await stand.seat.close()
    stand.seat.look()
    assert (lane.closed, len(stand.bus.lanes)) == (True, 1)
