"""What the routers are told."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.support.eventually import eventually

from gateway.core.frames import JSON
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.shell.announcer import PART_MEMBERS, Announcer
from warren import envelope
from warren.errors import BusUnavailable, NotConfirmed, Unroutable, WarrenError
from warren.position import Position
from warren.topology import Topology


class Publisher:
    """The part of a bus that publishes."""

    def __init__(self) -> None:
        self.up = True
        self.errors: list[WarrenError] = []
        self.told: list[tuple[str, envelope.Envelope]] = []

    async def publish(self, exchange: str, key: str, body: bytes, properties: object = None, **flags: bool) -> None:
        assert exchange == "warren.routers"
        assert flags == {"mandatory": key != "all", "persistent": False}
        await asyncio.sleep(0)
        for item in envelope.decode(body):
            if self.errors and not isinstance(item, envelope.Heartbeat):
                raise self.errors.pop(0)
            self.told.append((key, item))

    def of(self, kind: type) -> list:
        return [item for _, item in self.told if isinstance(item, kind)]


class Rig:
    """An announcer with two rooms on its hub."""

    def __init__(self) -> None:
        self.bus = Publisher()
        self.hub = Hub(1)
        for number in range(3):
            self.hub.add(Member(f"g~{number}", f"u{number}", JSON, Outbox()))
        self.hub.join("a", "g~0", Position("e", 3))
        self.hub.join("a", "g~1", Position("e", 3))
        self.hub.join("b", "g~2", Position("e", 0))
        self.announcer = Announcer(
            self.bus,  # type: ignore[arg-type]
            Topology(shards=1),
            self.hub,
            lambda: envelope.Heartbeat("g", 1, 3),
            every_s=60.0,
            chance=random.Random(1),
        )


@pytest.fixture
async def rig():
    made = Rig()
    await made.announcer.start()
    yield made
    await made.announcer.stop()


async def test_a_heartbeat_goes_at_once_and_when_the_queue_is_new(rig: Rig):
    """The first heartbeat goes at the start, another as soon as our queue is consumed anew, with no wait for the interval."""
    await eventually(lambda: len(rig.bus.of(envelope.Heartbeat)) == 1)
    rig.announcer.returned()
    await eventually(lambda: len(rig.bus.of(envelope.Heartbeat)) == 2)
    (announce,) = await eventually(lambda: rig.bus.of(envelope.Announce))
    assert (announce.ref, announce.last) == (0, True)


async def test_an_ask_is_answered_with_members_and_positions(rig: Rig):
    """The answer goes to the router that asked, with its ref, the term, and every room of the shard."""
    assert rig.announcer.answer(envelope.Ask("r1", 0, 7, 42)) is True
    await eventually(lambda: rig.bus.of(envelope.Announce))
    (key, announce) = next(told for told in rig.bus.told if isinstance(told[1], envelope.Announce))
    assert (key, announce.gateway, announce.term, announce.ref, announce.last) == ("r1", "g", 7, 42, True)
    assert announce.rooms == (
        envelope.Members("a", (("g~0", "u0"), ("g~1", "u1")), Position("e", 3)),
        envelope.Members("b", (("g~2", "u2"),), Position("e", 0)),
    )
    assert rig.hub.term(0) == 7


async def test_only_a_newer_term_is_news(rig: Rig):
    """The same term again is answered but no news; an older one is told the newer; one that the hub knew already is news once."""
    assert rig.announcer.answer(envelope.Ask("r1", 0, 7, 1)) is True
    assert rig.announcer.answer(envelope.Ask("r1", 0, 7, 2)) is False
    assert rig.announcer.answer(envelope.Ask("r2", 0, 5, 3)) is False
    rig.hub.fence(0, 9)
    assert rig.announcer.answer(envelope.Ask("r3", 0, 9, 4)) is True
    await eventually(lambda: len(rig.bus.of(envelope.Announce)) == 3)
    assert {(item.ref, item.term) for item in rig.bus.of(envelope.Announce)} == {(2, 9), (3, 9), (4, 9)}


async def test_long_answers_come_in_parts(rig: Rig):
    """Parts are bounded in members, all carry the ref, only the last is marked, and together they are everyone."""
    members = 2 * PART_MEMBERS + 10
    for number in range(3, members):
        rig.hub.add(Member(f"g~{number}", "u", JSON, Outbox()))
        rig.hub.join("a" if number % 3 else f"room{number}", f"g~{number}", Position("e", 3))
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 42))
    parts = await eventually(lambda: (found := rig.bus.of(envelope.Announce)) and found[-1].last and found)
    assert len(parts) > 2
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.ref for part in parts} == {42}
    sizes = [sum(len(room.members) for room in part.rooms) for part in parts]
    assert max(sizes) <= PART_MEMBERS
    told = [conn for part in parts for room in part.rooms for conn, _ in room.members]
    assert sorted(told) == sorted(f"g~{number}" for number in range(members))


async def test_it_is_sent_until_it_is_confirmed(rig: Rig):
    """An answer that is not confirmed goes again; to a router that is gone it does not."""
    rig.bus.errors = [BusUnavailable("away"), NotConfirmed("?")]
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 1))
    await eventually(lambda: [item.ref for item in rig.bus.of(envelope.Announce)] == [1])
    rig.bus.errors = [Unroutable("gone")]
    rig.announcer.answer(envelope.Ask("r2", 0, 7, 2))
    rig.announcer.answer(envelope.Ask("r3", 0, 7, 3))
    await eventually(lambda: [item.ref for item in rig.bus.of(envelope.Announce)] == [1, 3])


async def test_a_shard_without_members_is_answered_but_not_told(rig: Rig):
    """Where we have no members an Ask gets an empty answer, and nothing is said unasked."""
    for number in range(3):
        rig.hub.remove(f"g~{number}")
    rig.announcer.tell(0)
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 1))
    (answer,) = await eventually(lambda: rig.bus.of(envelope.Announce))
    assert (answer.rooms, answer.last, answer.ref) == ((), True, 1)


async def test_goodbye_is_said_once_and_only_to_a_broker_that_is_there():
    """Stopping says Bye where the broker is there; where it is away it just ends."""
    rig = Rig()
    await rig.announcer.start()
    await rig.announcer.stop()
    await rig.announcer.stop()
    assert rig.bus.of(envelope.Bye) == [envelope.Bye("g")]
    rig = Rig()
    await rig.announcer.start()
    rig.bus.up = False
    await rig.announcer.stop()
    assert rig.bus.of(envelope.Bye) == []
