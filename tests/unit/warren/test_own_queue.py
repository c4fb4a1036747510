"""OwnQueue: consumed under a new name each time, and renewed where nothing reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
from tests.support.eventually import eventually

from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.envelope import Envelope, Leaving, encode
from warren.own_queue import OwnQueue
from warren.topology import ALL, Topology

TOPOLOGY = Topology(shards=1)
LEAVING = Leaving("g9")


class Recorder:
    """Takes what comes, and remembers it."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.raises = False

    def begun(self) -> None:
        self.log.append("begun")

    def lost(self) -> None:
        self.log.append("lost")

    def take(self, envelopes: Sequence[Envelope]) -> None:
        if self.raises:
            raise ValueError("ours")
        self.log.append(list(envelopes))

    def malformed(self, reason: str) -> None:
        self.log.append(reason.partition(":")[0])

    def failed(self, error: Exception) -> None:
        self.log.append(str(error))


class Rig:
    """A gateway's own queue on a memory bus, and somebody who sends to it."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.bus, self.others = MemoryBus(self.broker, TOPOLOGY), MemoryBus(self.broker, TOPOLOGY)
        self.receiver = Recorder()
        self.queue = OwnQueue(self.bus, partial(TOPOLOGY.gateway_queue, "g1"), prefetch=2)

    async def send(self, *envelopes: Envelope, key: str = "g1", body: bytes = b"") -> None:
        await self.others.publish(TOPOLOGY.egress, key, body or encode(envelopes))

    async def hears(self, *log: object) -> None:
        await eventually(lambda: self.receiver.log == list(log))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.bus.start()
    await made.others.start()
    yield made
    await made.queue.stop()
    await made.bus.close()
    await made.others.close()


async def test_it_is_reached_by_the_processs_key_and_by_all(rig: Rig):
    """From when it is consumed on; before, it has no name."""
    assert (rig.queue.name, rig.queue.active) == ("", False)
    await rig.queue.start(rig.receiver)
    assert rig.queue.name.startswith(TOPOLOGY.gateway_queue("g1", "")[0].name)
    await rig.send(LEAVING)
    await rig.send(LEAVING, LEAVING, key=ALL)
    await rig.hears("begun", [LEAVING], [LEAVING, LEAVING])


async def test_after_a_loss_it_has_another_name(rig: Rig):
    """The old one may be locked by a broker node that is down; the receiver is told of both moments."""
    await rig.queue.start(rig.receiver)
    before = rig.queue.name
    rig.broker.cut(rig.bus)
    assert (rig.queue.name, rig.queue.active) == ("", False)
    rig.broker.restore(rig.bus)
    await rig.hears("begun", "lost", "begun")
    assert rig.queue.name not in ("", before)


async def test_it_is_renewed_where_nothing_reaches_it_any_more(rig: Rig):
    """Somebody took this process for dead and deleted its guard exchange: the second probe in a row that comes back says
    so, and what is sent from then on arrives.
    """
    await rig.queue.start(rig.receiver)
    await rig.queue.probe()
    await rig.hears("begun", [])
    before = rig.queue.name
    await rig.others.retire(before)
    await rig.queue.probe()
    assert rig.queue.name == before
    await rig.queue.probe()
    await eventually(lambda: rig.queue.name not in ("", before))
    await rig.queue.probe()
    await rig.send(LEAVING)
    await rig.hears("begun", [], "lost", "begun", [], [LEAVING])


async def test_it_is_renewed_when_its_process_says_so(rig: Rig):
    """What lies in the old queue is lost; before the start and after the stop it does nothing."""
    rig.queue.renew("frozen")
    await rig.queue.start(rig.receiver)
    before = rig.queue.name
    rig.queue.renew("frozen")
    await eventually(lambda: rig.queue.name not in ("", before))
    await rig.queue.stop()
    rig.queue.renew("frozen")
    assert rig.queue.name == ""


async def test_whatever_is_no_envelope_is_told_and_the_rest_is_taken(rig: Rig):
    """Of a part of a body, of a whole one, and of one in a newer version."""
    await rig.queue.start(rig.receiver)
    whole = encode([LEAVING])
    await rig.send(body=b"\x92\x01\x92\xc0" + whole[3:])
    await rig.send(body=b"\xc1")
    await rig.send(body=b"\x92\x02\x90")
    await rig.hears("begun", "malformed", [LEAVING], "malformed", [], "unsupported", [])


async def test_what_one_body_brings_about_does_not_end_the_consumer(rig: Rig):
    """It is told, and everything is acknowledged: more than the prefetch comes."""
    await rig.queue.start(rig.receiver)
    rig.receiver.raises = True
    for _ in range(3):
        await rig.send(LEAVING)
    await rig.hears("begun", "ours", "ours", "ours")
    rig.receiver.raises = False
    await rig.send(LEAVING)
    await rig.hears("begun", "ours", "ours", "ours", [LEAVING])
