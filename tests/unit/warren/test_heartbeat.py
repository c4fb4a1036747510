"""HeartbeatLoop: signs of life at a rhythm, whatever the broker owes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock, ScriptedBus

from warren.envelope import Envelope, Heartbeat, Leaving, decode
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.heartbeat import HeartbeatLoop
from warren.own_queue import OwnQueue
from warren.topology import ALL, Topology

TOPOLOGY = Topology(shards=1)
WORD = Heartbeat("g", 1, 3)


class Silent:
    """Whom the own queue tells; nothing comes of it here."""

    def begun(self) -> None: ...

    def lost(self) -> None: ...

    def take(self, envelopes: object) -> None: ...

    def malformed(self, reason: str) -> None: ...

    def failed(self, error: Exception) -> None: ...


class Rig:
    """A loop on a scripted bus; it beats when it is told to, or ``every_s``."""

    def __init__(self, every_s: float = 60.0) -> None:
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.queue = OwnQueue(self.bus, partial(TOPOLOGY.gateway_queue, "g"), prefetch=1)
        self.loop = HeartbeatLoop(
            self.bus, TOPOLOGY, self.clock, self.queue, every_s=every_s, frozen_s=3 * every_s
        )

    def heartbeat(self) -> Envelope:
        return WORD

    def goodbye(self) -> list[Envelope]:
        return [WORD, Leaving("g")]

    async def start(self) -> None:
        await self.queue.start(Silent())
        await self.loop.start(self)

    def said(self) -> list[Envelope]:
        """Return what went to all routers."""
        return [
            item
            for one in self.bus.published
            if (one.exchange, one.key, one.persistent) == (TOPOLOGY.routers, ALL, False)
            for item in decode(one.body)
        ]

    def probes(self) -> int:
        return self.bus.keys().count("g")

    def renewed(self) -> int:
        return self.bus.subscriptions[0].renewed

    async def beat(self) -> None:
        """Send one heartbeat more, and a probe."""
        before = self.probes()
        self.loop.soon()
        await eventually(lambda: self.probes() > before)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.start()
    await eventually(lambda: made.probes() == 1)
    yield made
    await made.loop.stop()


async def test_a_heartbeat_goes_at_once_with_news_and_when_the_broker_is_back(rig: Rig):
    """With no wait for the interval."""
    assert rig.said() == [WORD]
    await rig.beat()
    assert rig.said() == [WORD] * 2
    rig.bus.tell(False)
    rig.bus.tell(True)
    await eventually(lambda: rig.said() == [WORD] * 3)


async def test_news_that_comes_with_the_first_heartbeat_is_told_in_the_next(rig: Rig):
    """It may have been made before the news was there."""
    await rig.loop.stop()
    rig.bus.held = True
    starting = asyncio.create_task(rig.start())
    await eventually(lambda: len(rig.said()) == 2)
    rig.loop.soon()
    rig.bus.release()
    await starting
    await eventually(lambda: len(rig.said()) == 3)


async def test_a_failure_is_no_end(rig: Rig):
    """The next one comes."""
    for error in (BusUnavailable("?"), NotConfirmed("?")):
        rig.bus.script(ALL, error)
        await rig.beat()
    await rig.beat()
    assert rig.probes() == 4


async def test_a_confirm_that_is_owed_holds_up_no_sign_of_life():
    """Nor does a probe that is not answered."""
    rig = Rig(every_s=0.01)
    rig.bus.held = True
    await rig.start()
    await eventually(lambda: len(rig.said()) >= 4)
    rig.bus.release()
    await rig.loop.stop()


async def test_heartbeats_keep_their_rhythm_while_confirms_are_owed(monkeypatch: pytest.MonkeyPatch):
    """What is waited for is part of the interval: a round is never longer than that."""
    rig, left = Rig(every_s=0.2), []
    timeout_at = asyncio.timeout_at

    def noted(when: float) -> asyncio.Timeout:
        left.append(when - asyncio.get_running_loop().time())
        return timeout_at(when)

    monkeypatch.setattr(asyncio, "timeout_at", noted)
    rig.bus.held = True
    await rig.start()
    await eventually(lambda: any(0.0 < pause_s < 0.11 for pause_s in left))
    assert max(left) < 0.11  # a quarter for each of the two has gone by
    rig.bus.release()
    await rig.loop.stop()


async def test_it_probes_the_queue_with_each_heartbeat(rig: Rig):
    """And has it renewed where two probes in a row come back."""
    rig.bus.script("g", Unroutable("?"), None, Unroutable("?"), Unroutable("?"))
    for _ in range(3):
        await rig.beat()
    assert rig.renewed() == 0
    await rig.beat()
    await eventually(lambda: rig.renewed() == 1)


async def test_a_process_that_stood_still_renews_its_queue():
    """It may have been taken for dead; an interval that is only a little late is none."""
    rig = Rig(every_s=0.01)
    await rig.start()
    await eventually(lambda: rig.probes() >= 3)
    assert rig.renewed() == 0
    rig.clock.advance(1.0)
    await eventually(lambda: rig.renewed() == 1)
    await rig.loop.stop()


async def test_goodbye_is_the_last_word():
    """Where there is a broker to say it to; who never began says nothing, and it is said once."""
    rig = Rig()
    await rig.loop.leave()
    assert rig.said() == []
    await rig.start()
    await rig.loop.leave()
    assert rig.said()[-2:] == [WORD, Leaving("g")]
    said = rig.said()
    rig.bus.tell(True)
    rig.loop.soon()
    await rig.loop.leave()
    assert rig.said() == said


async def test_without_a_broker_there_is_no_goodbye(rig: Rig):
    """It is not waited for either."""
    rig.bus.tell(False)
    await rig.loop.leave()
    assert Leaving("g") not in rig.said()
