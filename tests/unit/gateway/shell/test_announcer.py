"""What the routers are told."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.support.eventually import eventually

from gateway.core.frames import JSON
from gateway.core.hub import Hub, Member
from gateway.core.lease import Lease
from gateway.core.outbox import Outbox
from gateway.shell.announcer import PART_MEMBERS, Announcer
from warren import envelope
from warren.address import shard_of
from warren.errors import BusUnavailable, NotConfirmed, Unroutable, WarrenError
from warren.position import Position
from warren.topology import Topology


class Publisher:
    """The part of a bus that publishes."""

    def __init__(self) -> None:
        self.up = True
        self.errors: list[WarrenError] = []
        self.refuses_beats, self.refused = False, 0
        self.knocks, self.knocking = 0, list[WarrenError]()
        self.told: list[tuple[str, envelope.Envelope]] = []

    async def publish(self, exchange: str, key: str, body: bytes, properties: object = None, **flags: bool) -> None:
        await asyncio.sleep(0)
        if exchange == "warren.egress":
            assert (key, envelope.decode(body), flags) == ("g", [], {"mandatory": True, "persistent": False})
            self.knocks += 1
            if self.knocking:
                raise self.knocking.pop(0)
            return
        assert exchange == "warren.routers"
        assert flags == {"mandatory": key != "all", "persistent": False}
        for item in envelope.decode(body):
            if self.refuses_beats and isinstance(item, envelope.Heartbeat):
                self.refused += 1
                raise NotConfirmed("?")
            if self.errors and not isinstance(item, envelope.Heartbeat):
                raise self.errors.pop(0)
            self.told.append((key, item))

    def of(self, kind: type) -> list:
        return [item for _, item in self.told if isinstance(item, kind)]


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Rig:
    """An announcer with two rooms on its hub."""

    def __init__(self) -> None:
        self.clock, self.lapses, self.shuts = Clock(), 0, 0
        self.bus = Publisher()
        self.hub = Hub(1)
        for number in range(3):
            self.hub.add(Member(f"g~{number}", f"u{number}", JSON, Outbox()))
        self.hub.join("a", "g~0", Position("e", 3))
        self.hub.join("a", "g~1", Position("e", 3))
        self.hub.join("b", "g~2", Position("e", 0))
        self.lease = Lease(1, 4.0, self.clock.now)
        self.announcer = Announcer(
            self.bus,  # type: ignore[arg-type]
            Topology(shards=1),
            self.clock,  # type: ignore[arg-type]
            self.hub,
            self.lease,
            lambda: envelope.Heartbeat("g", 1, 3),
            every_s=60.0,
            on_lapse=self.lapsed,
            on_shut=self.shut,
            chance=random.Random(1),
        )

    def lapsed(self) -> None:
        self.lapses += 1

    def shut(self) -> None:
        self.shuts += 1


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
    assert (announce.ref, announce.last, announce.rooms) == (0, True, ())


async def test_it_knocks_at_its_own_door(rig: Rig):
    """After each heartbeat; it is found shut when nobody was behind it twice in a row. What is not known says nothing."""
    answers: list[WarrenError | None] = [
        Unroutable("?"), None, Unroutable("?"), BusUnavailable("?"), NotConfirmed("?"), Unroutable("?"), Unroutable("?")
    ]  # fmt: skip
    shuts = []
    await eventually(lambda: rig.bus.knocks == 1)
    for count, answer in enumerate(answers, 2):
        rig.bus.knocking = [] if answer is None else [answer]
        rig.announcer._beat_now.set()
        await eventually(lambda count=count: rig.bus.knocks == count)
        await asyncio.sleep(0)
        shuts.append(rig.shuts)
    assert shuts == [0, 0, 0, 0, 0, 1, 1]


async def test_an_ask_is_answered_with_members_and_positions(rig: Rig):
    """The answer goes to the router that asked, with its ref, the term, and every room of the shard."""
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 42))
    await eventually(lambda: rig.bus.of(envelope.Announce))
    (key, announce) = next(told for told in rig.bus.told if isinstance(told[1], envelope.Announce))
    assert (key, announce.gateway, announce.term, announce.ref, announce.last) == ("r1", "g", 7, 42, True)
    assert announce.rooms == (
        envelope.Members("*", (), None),
        envelope.Members("a", (("g~0", "u0"), ("g~1", "u1")), Position("e", 3)),
        envelope.Members("b", (("g~2", "u2"),), Position("e", 0)),
    )
    assert rig.hub.term(0) == 7


async def test_an_older_term_is_told_the_newer(rig: Rig):
    """Each Ask is answered; one of an older term learns by the answer that there is a newer."""
    for ref, term in ((1, 7), (2, 7), (3, 5)):
        rig.announcer.answer(envelope.Ask(f"r{ref}", 0, term, ref))
    await eventually(lambda: len(rig.bus.of(envelope.Announce)) == 3)
    assert {(item.ref, item.term) for item in rig.bus.of(envelope.Announce)} == {(1, 7), (2, 7), (3, 7)}


async def test_after_its_lease_it_beats_and_tells_until_it_is_asked(rig: Rig):
    """The end is noticed once; a confirmed heartbeat and then an Ask give the shard back, and each beat until then tells again."""
    await eventually(lambda: len(rig.bus.of(envelope.Heartbeat)) == 1)
    rig.clock.now = 104.5
    rig.announcer.check()
    rig.announcer.check()
    assert (rig.lapses, rig.lease.suspended) == (1, {0})
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 1))  # it may have lain in the queue for long
    assert rig.lease.suspended == {0}
    for count in (1, 2):
        await eventually(lambda count=count: sum(not item.ref for item in rig.bus.of(envelope.Announce)) == count)
        rig.announcer._beat_now.set()
    rig.announcer.answer(envelope.Ask("r1", 0, 6, 2))  # of an owner that is none any more
    assert rig.lease.suspended == {0}
    rig.announcer.answer(envelope.Ask("r1", 0, 7, 3))
    assert rig.lease.suspended == set()


async def test_a_heartbeat_that_is_not_confirmed_renews_nothing(rig: Rig):
    """The lease counts from when the last confirmed one was sent."""
    await eventually(lambda: len(rig.bus.of(envelope.Heartbeat)) == 1)
    rig.bus.refuses_beats = True
    rig.clock.now = 103.0
    rig.announcer._beat_now.set()
    await eventually(lambda: rig.bus.refused == 1)
    rig.clock.now = 104.5
    rig.announcer.check()
    assert rig.lapses == 1


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


async def test_a_shard_without_members_is_told_and_answered():
    """It may be one of which we take nothing until its owner has asked; the answer is empty but for everyone's room, which is always there."""
    topology = Topology(shards=2)
    rig = Rig()
    rig.hub = rig.announcer._hub = Hub(2)
    rig.announcer._topology = topology
    await rig.announcer.start()
    for shard in range(2):
        rig.announcer.tell(shard)
        rig.announcer.answer(envelope.Ask("r1", shard, 7, 1 + shard))
    await eventually(lambda: len(rig.bus.of(envelope.Announce)) == 4)
    answers = {item.shard: [room.room for room in item.rooms] for item in rig.bus.of(envelope.Announce) if item.ref}
    everyone = shard_of("*", 2)
    assert answers == {everyone: ["*"], 1 - everyone: []}
    await rig.announcer.stop()


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
