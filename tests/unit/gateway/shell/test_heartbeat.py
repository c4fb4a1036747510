"""The gateway's sign of life."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from gateway.shell.heartbeat import HeartbeatSender
from warren import envelope
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import ALL, Topology


class Rig:
    """A heartbeat on a scripted bus; it beats when it is told to, or ``every_s``."""

    def __init__(self, every_s: float = 60.0) -> None:
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.unreachable: list[str] = []
        self.heartbeat = HeartbeatSender(
            self.bus,
            Topology(shards=1),
            self.clock,
            lambda: envelope.Heartbeat("g", 1, 3),
            every_s=every_s,
            on_unreachable=self.unreachable.append,
        )

    def said(self) -> list[envelope.Envelope]:
        """Return what went to all routers."""
        return [
            item
            for one in self.bus.published
            if (one.exchange, one.key, one.persistent) == ("warren.routers", ALL, False)
            for item in envelope.decode(one.body)
        ]

    def knocks(self) -> int:
        return sum(one.exchange == "warren.egress" for one in self.bus.published)

    async def beat(self) -> None:
        """Beat once more, and knock."""
        before = self.knocks()
        self.heartbeat.returned()
        await eventually(lambda: self.knocks() > before)


@pytest.fixture
async def rig():
    made = Rig()
    await made.heartbeat.start()
    await eventually(lambda: made.knocks() == 1)
    yield made
    await made.heartbeat.stop()


async def test_a_heartbeat_goes_at_once_and_when_the_queue_is_new(rig: Rig):
    """With no wait for the interval."""
    assert rig.said() == [envelope.Heartbeat("g", 1, 3)]
    await rig.beat()
    assert rig.said() == [envelope.Heartbeat("g", 1, 3)] * 2


async def test_a_failure_is_no_end(rig: Rig):
    """The next one comes."""
    for error in (BusUnavailable("?"), NotConfirmed("?")):
        rig.bus.script(ALL, error)
        await rig.beat()
    await rig.beat()
    assert rig.knocks() == 4


async def test_a_confirm_that_is_owed_holds_up_no_sign_of_life():
    """Nor does a knock that is not answered."""
    rig = Rig(every_s=0.01)
    rig.bus.held = True
    await rig.heartbeat.start()
    await eventually(lambda: len(rig.said()) >= 4)
    rig.bus.release()
    rig.bus.held = False
    await rig.heartbeat.stop()


async def test_beats_keep_their_rhythm_while_confirms_are_owed(monkeypatch: pytest.MonkeyPatch):
    """What is waited for is part of the interval: a round is never longer than that."""
    rig, left = Rig(every_s=0.2), []
    timeout_at = asyncio.timeout_at

    def noted(when: float) -> asyncio.Timeout:
        left.append(when - asyncio.get_running_loop().time())
        return timeout_at(when)

    monkeypatch.setattr(asyncio, "timeout_at", noted)
    rig.bus.held = True
    await rig.heartbeat.start()
    await eventually(lambda: any(0.0 < pause_s < 0.11 for pause_s in left))
    assert max(left) < 0.11  # a quarter for each of the two has gone by
    rig.bus.release()
    await rig.heartbeat.stop()


async def test_it_knocks_at_its_own_door(rig: Rig):
    """It says so where nobody was behind it twice in a row."""
    rig.bus.script("g", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    for _ in range(3):
        await rig.beat()
    assert rig.unreachable == []
    await rig.beat()
    await eventually(lambda: rig.unreachable == ["nothing reaches our queue"])


async def test_a_process_that_stood_still_says_so():
    """It may have been taken for dead; an interval that is only a little late is none."""
    rig = Rig(every_s=0.01)
    await rig.heartbeat.start()
    await eventually(lambda: rig.knocks() >= 3)
    assert rig.unreachable == []
    rig.clock.advance(1.0)
    await eventually(lambda: rig.unreachable == ["this process stood still for long"])
    await rig.heartbeat.stop()


async def test_it_says_good_bye():
    """At the end, where there is a broker to say it to; who never began says nothing."""
    rig = Rig()
    await rig.heartbeat.stop()
    assert rig.said() == []
    await rig.heartbeat.start()
    await eventually(lambda: rig.knocks() == 1)
    await rig.heartbeat.stop()
    assert rig.said()[-1] == envelope.Leaving("g")
