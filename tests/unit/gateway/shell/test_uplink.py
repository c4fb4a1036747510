"""The way up: order, retries, deadlines, bounds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.support.eventually import eventually
from tests.support.gateways import recording_tracing

from gateway.shell.uplink import INQUIRY_COUNT, Uplink, UplinkLimits
from warren import envelope
from warren.address import shard_of
from warren.errors import BusUnavailable, NotConfirmed, Overloaded, Unroutable, WarrenError
from warren.metrics import GatewayMetrics
from warren.position import Position
from warren.telemetry import HopKind
from warren.topology import Topology


class Clock:
    """Time in the test's hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall_us(self) -> int:
        return 0

    def thread(self) -> float:
        return 0.0


class Publisher:
    """The part of a bus that publishes: it keeps what it confirmed, and fails or waits as it is told."""

    def __init__(self) -> None:
        self.up = True
        self.blocked = False
        self.errors: list[WarrenError] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.attempts: list[list[envelope.Envelope]] = []
        self.confirmed: list[tuple[str, list[envelope.Envelope]]] = []
        self.listeners: list[Callable[[bool], None]] = []
        self.blocked_listeners: list[Callable[[bool], None]] = []

    def watch(self, listener: Callable[[bool], None]) -> None:
        self.listeners.append(listener)

    def watch_blocked(self, listener: Callable[[bool], None]) -> None:
        self.blocked_listeners.append(listener)

    def block(self, blocked: bool) -> None:
        self.blocked = blocked
        for listener in self.blocked_listeners:
            listener(blocked)

    def turn(self, up: bool) -> None:
        self.up = up
        for listener in self.listeners:
            listener(up)

    async def publish(self, exchange: str, key: str, body: bytes, properties: object = None, **flags: bool) -> None:
        assert (exchange, flags) == ("warren.ingress", {"mandatory": True})
        batch = envelope.decode(body)
        self.attempts.append(batch)
        await self.gate.wait()
        if not self.up:
            raise BusUnavailable("away")
        if self.errors:
            raise self.errors.pop(0)
        self.confirmed.append((key, batch))

    @property
    def sent(self) -> list[envelope.Envelope]:
        return [item for _, batch in self.confirmed for item in batch]


class Rig:
    """An uplink on one shard with all its surroundings."""

    def __init__(self, **limits: float) -> None:
        self.bus, self.clock = Publisher(), Clock()
        self.undelivered: list[tuple[str, str, str]] = []
        self.overflowed: list[int] = []
        self.uplink = Uplink(
            self.bus,  # type: ignore[arg-type]
            Topology(shards=1),
            self.clock,
            GatewayMetrics(),
            UplinkLimits(**limits),  # type: ignore[arg-type]
            on_undelivered=lambda conn, ref, error: self.undelivered.append((conn, ref, type(error).__name__)),
            on_overflow=self.overflowed.append,
            chance=random.Random(1),
        )


def message(number: int, id: str = "", size: int = 1) -> envelope.Publish:  # noqa: A002
    return envelope.Publish("r", "CHAT", b"x" * size, number, "g~1", "ann", id)


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.uplink.close()


async def test_what_waits_goes_as_one_batch_in_order(rig: Rig):
    """While a publish is under way everything that comes waits, and goes next, together and in order."""
    rig.bus.gate.clear()
    for number in range(5):
        assert rig.uplink.publish(message(number)) is None
        await asyncio.sleep(0)
    rig.uplink.join(envelope.Join("r", "g~1", "ann"))
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert [len(batch) for batch in rig.bus.attempts] == [1, 5]
    assert [getattr(item, "at_us", "join") for item in rig.bus.sent] == [0, 1, 2, 3, 4, "join"]


@pytest.mark.parametrize("error", [NotConfirmed("?"), Unroutable("no queue"), BusUnavailable("away")])
async def test_a_batch_that_fails_is_sent_again_as_it_was(rig: Rig, error: WarrenError):
    """The same batch goes again under the same ids until it is confirmed, and nothing overtakes it."""
    rig.bus.errors = [error, error]
    rig.uplink.publish(message(1, "a"))
    rig.uplink.publish(message(2, "b"))
    await asyncio.sleep(0)
    rig.uplink.publish(message(3, "c"))
    await rig.uplink.flush()
    assert rig.bus.attempts[0] == rig.bus.attempts[1] == rig.bus.attempts[2]
    assert [item.id for item in rig.bus.sent] == ["a", "b", "c"]
    assert rig.undelivered == []


async def test_a_message_gives_up_at_its_deadline_and_a_join_does_not(rig: Rig):
    """Past its deadline a message is left out of the next attempt and its sender told; the join in the same batch goes."""
    rig.bus.turn(False)
    rig.uplink.publish(message(1, "a"))
    rig.uplink.join(envelope.Join("r", "g~1", "ann"))
    rig.uplink.publish(message(2))
    await eventually(lambda: rig.bus.attempts)
    rig.uplink.expire(9.9)
    assert rig.undelivered == []
    rig.uplink.expire(10.0)
    assert rig.undelivered == [("g~1", "a", "NotConfirmed"), ("g~1", "", "NotConfirmed")]
    rig.bus.turn(True)
    await rig.uplink.flush()
    assert [type(item) for item in rig.bus.sent] == [envelope.Join]
    rig.uplink.expire(99.0)
    assert len(rig.undelivered) == 2


async def test_an_id_without_an_answer_is_told_once(rig: Rig):
    """A confirmed message with an id is told at its deadline unless a router answered; without an id never."""
    for number, ref in enumerate(("a", "b", "")):
        rig.uplink.publish(message(number, ref))
    await rig.uplink.flush()
    rig.uplink.answered("g~1", "a")
    rig.uplink.answered("g~1", "unknown")
    rig.uplink.expire(50.0)
    rig.uplink.expire(60.0)
    assert rig.undelivered == [("g~1", "b", "NotConfirmed")]


async def test_answers_that_may_be_lost_are_asked_for(rig: Rig):
    """What is confirmed and not answered is asked for at once, what is on its way when it is confirmed, what is answered never; the
    question comes after the messages.
    """
    for number, ref in enumerate(("a", "b", "")):
        rig.uplink.publish(message(number, ref))
    await rig.uplink.flush()
    rig.uplink.answered("g~1", "a")
    rig.bus.gate.clear()
    rig.uplink.publish(message(3, "c"))
    await asyncio.sleep(0)
    rig.uplink.renew(0)
    rig.uplink.publish(message(4, "d"))
    rig.bus.gate.set()
    await rig.uplink.flush()
    await rig.uplink.flush()  # what the confirm of "c" asks goes by another batch
    asked = [item for item in rig.bus.sent if isinstance(item, envelope.Inquiry)]
    assert asked == [envelope.Inquiry("r", (("g~1", "ann", ref),)) for ref in ("b", "c")]
    order = [item.id if isinstance(item, envelope.Publish) else item.asked[0][2] + "?" for item in rig.bus.sent]
    assert order == ["a", "b", "", "c", "b?", "d", "c?"]


async def test_only_the_shard_that_may_have_lost_answers_is_asked():
    """A shard's new owner is asked for what lies on that shard; None asks all of them."""
    rig = Rig()
    uplink = Uplink(
        rig.bus,  # type: ignore[arg-type]
        Topology(shards=4),
        rig.clock,
        GatewayMetrics(),
        UplinkLimits(),
        on_undelivered=lambda conn, ref, error: None,
        on_overflow=rig.overflowed.append,
    )
    rooms = {shard_of(f"r{number}", 4): f"r{number}" for number in range(40)}
    try:
        for room in rooms.values():
            uplink.publish(envelope.Publish(room, "CHAT", b"x", 0, "g~1", "ann", room))
        await uplink.flush()
        rig.bus.confirmed.clear()
        uplink.renew(2)
        await uplink.flush()
        assert [item.room for item in rig.bus.sent] == [rooms[2]]
        uplink.renew(None)
        await uplink.flush()
        assert sorted(item.room for item in rig.bus.sent[1:]) == sorted(rooms.values())
    finally:
        await uplink.close()
        await rig.uplink.close()


async def test_an_inquiry_is_bounded(rig: Rig):
    """Many lost answers are asked for in parts."""
    for number in range(INQUIRY_COUNT + 1):
        rig.uplink.publish(message(number, f"m{number}"))
    await rig.uplink.flush()
    rig.uplink.renew(None)
    await rig.uplink.flush()
    parts = [len(item.asked) for item in rig.bus.sent if isinstance(item, envelope.Inquiry)]
    assert parts == [INQUIRY_COUNT, 1]


async def test_the_same_id_again_waits_for_one_answer(rig: Rig):
    """A message that its client sends again under the same id is told at most once."""
    rig.uplink.publish(message(1, "a"))
    rig.clock.now = 1.0
    rig.uplink.publish(message(1, "a"))
    await rig.uplink.flush()
    rig.uplink.expire(50.0)
    assert rig.undelivered == [("g~1", "a", "NotConfirmed")]


async def test_a_full_buffer_refuses_messages_and_takes_joins():
    """Beyond its count or bytes a buffer refuses messages with Overloaded, while joins and leaves still find place."""
    rig = Rig(count=4, bytes=10_000)
    rig.bus.gate.clear()
    try:
        assert [rig.uplink.publish(message(number)) for number in range(4)] == [None] * 4
        assert isinstance(rig.uplink.publish(message(5)), Overloaded)
        assert rig.uplink.join(envelope.Join("r", "g~1", "ann"))
    finally:
        await rig.uplink.close()
    large = Rig(count=100, bytes=10_000)
    large.bus.gate.clear()
    try:
        await asyncio.sleep(0)
        assert large.uplink.publish(message(1, size=6_000)) is None
        assert isinstance(large.uplink.publish(message(2, size=6_000)), Overloaded)
    finally:
        await large.uplink.close()


async def test_what_is_asked_again_anyway_is_refused_where_there_is_no_place():
    """A Resume goes up like anything else while there is place, and is not kept where there is none."""
    rig = Rig(count=2, bytes=10_000)
    resume = envelope.Resume("g", "r", Position("e", 1))
    try:
        assert rig.uplink.resume(resume)
        await eventually(lambda: rig.bus.sent == [resume])
        rig.bus.gate.clear()
        assert [rig.uplink.resume(resume) for _ in range(10)] == [True] * 8 + [False] * 2
    finally:
        await rig.uplink.close()


async def test_leaves_without_place_are_announced():
    """A leave that finds no place at all makes its shard be announced anew, a join says no."""
    rig = Rig(count=2, bytes=10_000)
    rig.bus.gate.clear()
    try:
        taken = [rig.uplink.join(envelope.Join("r", f"g~{number}", "ann")) for number in range(10)]
        assert taken == [True] * 8 + [False] * 2
        rig.uplink.leave(envelope.Leave(("r",), "g~1"))
        assert rig.overflowed == [0]
    finally:
        await rig.uplink.close()


async def crowded() -> tuple[Rig, asyncio.Task[None]]:
    """Fill a shard above half while nothing is confirmed; return the rig and who waits for place."""
    rig = Rig(count=4, bytes=10_000)
    rig.bus.gate.clear()
    for number in range(3):
        rig.uplink.publish(message(number))
    held = asyncio.create_task(rig.uplink.place("r"))
    await asyncio.sleep(0)
    assert not held.done()
    return rig, held


async def test_crowded_readers_wait_for_place():
    """Above half of a buffer who publishes is held, until it is below again."""
    rig = Rig(count=4, bytes=10_000)
    rig.bus.gate.clear()
    for number in range(2):
        rig.uplink.publish(message(number))
    assert not rig.uplink.crowded("r")
    rig.uplink.publish(message(2))
    assert rig.uplink.crowded("r")
    held = asyncio.create_task(rig.uplink.place("r"))
    await asyncio.sleep(0)
    assert not held.done()
    rig.bus.gate.set()
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded("r")
    await rig.uplink.close()


async def test_an_absent_broker_releases_readers_and_refuses_above_half():
    """When the broker goes nobody is held any longer, and above half messages are refused as unavailable."""
    rig, held = await crowded()
    rig.bus.turn(False)
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded("r")
    assert isinstance(rig.uplink.publish(message(4)), BusUnavailable)
    await rig.uplink.close()


async def test_a_broker_that_holds_publishers_back_is_as_one_that_is_away():
    """Its alarm may last for hours: nobody is held for that, above half messages are refused, and all is well when it is over."""
    rig, held = await crowded()
    rig.bus.block(True)
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded("r")
    assert isinstance(rig.uplink.publish(message(4)), BusUnavailable)
    rig.bus.block(False)
    assert rig.uplink.crowded("r")
    assert rig.uplink.publish(message(4)) is None
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert len(rig.bus.sent) == 4
    await rig.uplink.close()


async def test_who_no_longer_waits_for_place_leaves_nothing_behind():
    """However many come and go while the broker takes nothing."""
    rig, held = await crowded()
    held.cancel()
    for _ in range(100):
        held = asyncio.create_task(rig.uplink.place("r"))
        await asyncio.sleep(0)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    assert not rig.uplink._shards[0].waiters
    rig.bus.gate.set()
    await rig.uplink.close()


async def test_spans_end_with_the_confirm_or_the_refusal(rig: Rig):
    """The span of a message's sending ends when its batch is confirmed, with the batch's count, or fails where it is refused."""
    tracing, spans = recording_tracing()

    def hop():
        return tracing.hop(HopKind.PUBLISH, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    rig.uplink.publish(message(1), hop())
    assert not spans.get_finished_spans()
    await rig.uplink.flush()
    rig.bus.turn(False)
    rig.uplink.publish(message(2), hop())
    rig.uplink.expire(99.0)
    first, second = spans.get_finished_spans()
    assert first.attributes["messaging.batch.message_count"] == 1
    assert (first.attributes.get("error.type"), second.attributes["error.type"]) == (None, "unavailable")
    rig.bus.turn(True)
