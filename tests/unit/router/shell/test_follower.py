"""Follower: a log that is read as it grows, from no further back than need be, up to our marker."""

import asyncio

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.core.limits import ShardLimits
from router.core.replay import Replay
from router.shell import follower as module
from router.shell.follower import Follower, Outrun
from router.shell.steady import Steady
from warren.envelope import Checkpoint, Deliver, Marker, encode
from warren.errors import BusUnavailable
from warren.metrics import RouterMetrics
from warren.namespaces import Namespaces
from warren.position import Position

STREAM = "warren.history.0"
SECOND = 1_000_000


def entry(seq, *, term=1, at_s=0):
    return Deliver("a", "1-1", seq, "CHAT", b"1", at_s * SECOND + 1, term)


BEGINNING = [Marker("r0", 1), Checkpoint(1, 1, 1, ())]


class Stand:
    def __init__(self, horizon_s=10):
        self.bus = ScriptedBus()
        self.metrics = RouterMetrics(CollectorRegistry())
        self.told = 0
        self.follower = Follower(
            self.bus, STREAM, "r1", Steady(self.bus), self.metrics,
            lambda: Replay(ShardLimits(), Namespaces(), 1, 0), horizon_s * SECOND, self._note,
        )  # fmt: skip

    def _note(self):
        self.told += 1

    def write(self, *records):
        self.bus.streams[STREAM] += [encode(record) for record in records]

    async def follow(self):
        self.follower.start()
        await eventually(lambda: self.follower.caught_up)
        return self

    async def marked(self, term=9):
        """Put our marker; return what the log tells up to it."""
        self.follower.expect(term)
        self.write([Marker("r1", term)])
        async with asyncio.timeout(5):
            return await self.follower.upto_marker()

    async def position(self, term=9):
        return (await self.marked(term)).finish(term, 0).lives.position("a")

    def starts(self):
        return [start for _, start in self.bus.reads]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "EMPTY_S", 0.02)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)


@pytest_asyncio.fixture
async def stand():
    stand = Stand()
    yield stand
    stand.follower.stop()


async def test_an_empty_log_is_caught_up_with_soon(stand):
    """It begins with our marker, and a new life."""
    await stand.follow()
    assert stand.told == 1
    replay = await stand.marked()
    assert replay.finish(9, 0).lives.life == 9


async def test_it_reads_what_counts(stand):
    """Entries, not those of a fenced owner, and no garbage; which is counted."""
    stand.write([*BEGINNING, entry(1), entry(2)], [Marker("r2", 2)], [entry(3, term=2)])
    stand.bus.streams[STREAM].append(b"\xc1")
    stand.write([entry(4, term=1)])
    assert await stand.position() == Position("1-1", 3)
    assert stand.metrics.registry.get_sample_value("warren_router_rejected_total", {"reason": "log"}) == 1


async def test_it_follows_while_another_owner_writes(stand):
    """When our marker comes only that is left to be read."""
    stand.write(BEGINNING)
    await stand.follow()
    for seq in range(1, 50):
        stand.write([entry(seq)])
        await asyncio.sleep(0)
    assert await stand.position() == Position("1-1", 49)
    assert stand.starts() == ["last", "first", 1]


async def test_nothing_behind_our_marker_is_read(stand):
    """What an owner of an older term still writes has no part in it, nor has what a later one writes."""
    stand.write([*BEGINNING, entry(1)])
    await stand.follow()
    stand.follower.expect(9)
    stand.write([Marker("r1", 9)], [entry(2)], [Marker("r2", 99)])
    replay = await stand.follower.upto_marker()
    assert replay.finish(9, 0).lives.position("a") == Position("1-1", 1)


async def test_a_marker_that_was_read_before_anyone_waits_for_it_counts(stand):
    """The log may be quicker than the confirm."""
    stand.write(BEGINNING)
    await stand.follow()
    stand.follower.expect(9)
    stand.write([Marker("r1", 9)])
    await eventually(lambda: stand.follower._reached)
    assert isinstance(await stand.follower.upto_marker(), Replay)


@pytest.mark.parametrize("record", [Marker("r2", 9), Marker("r2", 10), entry(1, term=10)])
async def test_a_term_that_is_not_lower_outruns_us(stand, record):
    """Another router's marker with our own term, or anything of a higher one; after that it reads on."""
    stand.write(BEGINNING, [record])
    assert await stand.marked() == Outrun(record.term)
    stand.write([entry(2, term=20)])
    assert isinstance(await stand.marked(30), Replay)


async def test_a_marker_that_is_given_up_holds_nothing_up(stand):
    """The possession it was put for is over; the log is followed on."""
    stand.write(BEGINNING)
    await stand.follow()
    stand.follower.expect(9)
    stand.write([Marker("r1", 9)])
    await eventually(lambda: stand.follower._reached)
    stand.follower.expect(0)
    stand.write([entry(1, term=9)])
    assert await stand.position(11) == Position("1-1", 1)


async def test_only_the_end_of_a_long_log_is_read_where_it_tells_enough(monkeypatch):
    """As far back as needed for a whole checkpoint and what is young; else further, at last all of it."""
    monkeypatch.setattr(module, "WINDOW", 4)
    records = [
        BEGINNING,
        *([entry(seq)] for seq in range(1, 41)),
        [Checkpoint(1, 1, 1, (("a", "1-1", 40),))],
        *([entry(seq, at_s=90)] for seq in range(41, 51)),
    ]
    for horizon_s, starts in ((10, ["last", 47, 35]), (1_000, ["last", 47, 35, "first"])):
        stand = Stand(horizon_s)
        stand.write(*records)
        await stand.follow()
        assert await stand.position() == Position("1-1", 50)
        assert stand.starts() == [*starts, 52]


async def test_after_a_lost_channel_it_goes_on_where_it_was(stand):
    """What was read is not read again."""
    stand.write(BEGINNING, [entry(1)])
    await stand.follow()
    stand.bus.reading.append(BusUnavailable("lost"))
    stand.write([entry(2)])
    await eventually(lambda: stand.starts().count(2) == 2)
    assert await stand.position() == Position("1-1", 2)
    assert stand.starts() == ["last", "first", 2, 2]


async def test_a_hole_has_it_begin_anew(stand):
    """The stream has dropped what was not read yet; a record of the broker's own is no hole."""
    stand.write([*BEGINNING, entry(1)])
    await stand.follow()
    await eventually(lambda: stand.starts() == ["last", "first", 1])
    stand.bus.dropped = 1
    stand.write([entry(2)])
    await eventually(lambda: stand.follower._next == 3)
    assert stand.starts() == ["last", "first", 1]
    stand.bus.dropped = 5
    stand.write([Checkpoint(1, 1, 1, (("a", "1-1", 7),))], [entry(8)])
    await eventually(lambda: stand.starts().count("last") == 2)
    assert await stand.position() == Position("1-1", 8)


async def test_a_place_where_nothing_can_be_read_any_more_is_doubted(stand):
    """After some failures in a row it begins anew."""
    stand.write([*BEGINNING, entry(1)])
    await stand.follow()
    stand.bus.reading.extend([BusUnavailable("no such offset")] * module.FAILURES)
    stand.write([entry(2)])
    await eventually(lambda: stand.starts().count("last") == 2)
    assert await stand.position() == Position("1-1", 2)


async def test_a_reading_that_stands_still_is_begun_again(stand, monkeypatch):
    """A confirmed marker is there, so it must come."""
    monkeypatch.setattr(module, "STALL_S", 0.05)
    stand.write(BEGINNING)
    await stand.follow()
    await eventually(lambda: stand.starts() == ["last", "first", 1])
    stand.follower.expect(9)
    waiting = asyncio.create_task(stand.follower.upto_marker())
    await eventually(lambda: stand.starts().count(1) >= 2)
    stand.write([Marker("r1", 9)])
    assert isinstance(await waiting, Replay)


async def test_a_log_that_breaks_the_reader_is_read_anew(stand, monkeypatch):
    """What was read until then is not trusted."""
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.001)
    broken = [ZeroDivisionError()]

    class Breaks(Replay):
        def take(self, envelopes):
            if broken and self.highest_term:
                raise broken.pop()
            super().take(envelopes)

    stand.follower._new_replay = lambda: Breaks(ShardLimits(), Namespaces(), 1, 0)
    stand.write([*BEGINNING, entry(1)])
    assert await stand.position() == Position("1-1", 1)
    assert broken == []
