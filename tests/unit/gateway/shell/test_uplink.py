"""The way up: order, retries, deadlines, bounds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from tests.support.eventually import eventually
from tests.support.gateways import recording_tracing
from tests.support.scripted_bus import ManualClock

from gateway.shell.in_flight_publish import LEAVE, MESSAGE
from gateway.shell.uplink import Uplink
from gateway.shell.uplink_buffer import UplinkLimits
from warren import envelope
from warren.batch import Pace
from warren.batcher import WORTHWHILE
from warren.errors import BusUnavailable, ErrorCode, NotConfirmed, Overloaded, Unroutable, WarrenError
from warren.metrics import GatewayMetrics
from warren.telemetry import HopKind
from warren.topology import Topology


class Publisher:
    """The part of a bus that publishes: it keeps what it confirmed, and fails or waits as it is told."""

    def __init__(self) -> None:
        self.up = True
        self.blocked = False
        self.errors: list[WarrenError] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.heads: list[tuple[int, int]] = []  # (life, number) of each attempt
        self.attempts: list[list[envelope.Envelope]] = []  # but those of a Hello
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

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: object = None, **flags: bool
    ) -> None:
        assert (exchange, flags) == ("warren.ingress", {"mandatory": True})
        head, *batch = envelope.decode(body)
        assert isinstance(head, envelope.Batch)
        self.heads.append((head.life, head.number))
        if batch != [envelope.Hello()]:
            self.attempts.append(batch)
        await self.gate.wait()
        if not self.up:
            raise BusUnavailable("away")
        if self.errors:
            raise self.errors.pop(0)
        self.confirmed.append((key, batch))

    @property
    def sent(self) -> list[envelope.Envelope]:
        return [item for _, batch in self.confirmed for item in batch if not isinstance(item, envelope.Hello)]


class Rig:
    """An uplink on one shard with all its surroundings."""

    def __init__(self, pace: Pace | None = None, **limits: float) -> None:
        self.bus, self.clock, self.metrics = Publisher(), ManualClock(), GatewayMetrics()
        self.undelivered: list[tuple[str, str]] = []
        self.uplink = Uplink(
            "g",
            self.bus,  # type: ignore[arg-type]
            Topology(shards=1),
            self.clock,
            self.metrics,
            UplinkLimits(pace=pace or Pace(0.0, float), **limits),  # type: ignore[arg-type]
            chance=random.Random(1),
        )

    def expire(self, now: float) -> None:
        """Give up on what has waited too long, and keep what is to be told."""
        for conn, told in self.uplink.expire(now):
            assert told.code is ErrorCode.UNAVAILABLE
            self.undelivered.append((conn, told.ref))

    def answered(self, *items: envelope.Item) -> None:
        """Settle what these answer."""
        self.uplink.answered(items)

    async def begin(self) -> Rig:
        """Begin our life."""
        self.uplink.begin()
        await self.uplink.flush()
        return self


def message(number: int, id: str = "", size: int = 1) -> envelope.Publish:  # noqa: A002
    return envelope.Publish("r", "CHAT", b"x" * size, number, "g~1", "ann", id)


@pytest.fixture
async def rig():
    made = await Rig().begin()
    yield made
    await made.uplink.close()


async def test_what_waits_goes_as_one_batch_in_order(rig: Rig):
    """While a publish is under way everything that comes waits, and goes next, together and in order."""
    rig.bus.gate.clear()
    for number in range(5):
        assert rig.uplink.publish(message(number), 0) is None
        await asyncio.sleep(0)
    rig.uplink.join(envelope.Join("r", "g~1", "ann"), 0)
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert [len(batch) for batch in rig.bus.attempts] == [1, 5]
    assert [getattr(item, "at_us", "join") for item in rig.bus.sent] == [0, 1, 2, 3, 4, "join"]


@pytest.mark.parametrize("error", [NotConfirmed("?"), Unroutable("no queue"), BusUnavailable("away")])
async def test_a_batch_that_fails_is_sent_again_as_it_was(rig: Rig, error: WarrenError):
    """The same batch goes again under the same ids until it is confirmed, and nothing overtakes it."""
    rig.bus.errors = [error, error]
    rig.uplink.publish(message(1, "a"), 0)
    rig.uplink.publish(message(2, "b"), 0)
    await asyncio.sleep(0)
    rig.uplink.publish(message(3, "c"), 0)
    await rig.uplink.flush()
    assert rig.bus.attempts[0] == rig.bus.attempts[1] == rig.bus.attempts[2]
    assert [item.id for item in rig.bus.sent] == ["a", "b", "c"]
    assert rig.undelivered == []


async def test_a_messages_time_and_that_of_the_last_attempt_of_its_batch_are_measured(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    """The first begins as the message is taken; the broker is not charged for what failed, nor for a Hello."""

    def seconds(hop: str, what: str) -> float | None:
        return rig.metrics.registry.get_sample_value(f"warren_gateway_hop_seconds_{what}", {"hop": hop})

    publish, takes_s = rig.bus.publish, [4.0, 0.5]

    async def slow(*words: object, **flags: bool) -> None:
        rig.clock.advance(takes_s.pop(0))
        await publish(*words, **flags)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.bus, "publish", slow)
    assert seconds("confirm", "count") is None
    rig.bus.errors = [NotConfirmed("?")]
    rig.uplink.publish(message(1), 0)
    rig.uplink.publish(message(2), 0)
    await rig.uplink.flush()
    assert (seconds("uplink", "count"), seconds("uplink", "sum")) == (2, 9.0)
    assert (seconds("confirm", "count"), seconds("confirm", "sum")) == (1, 0.5)


@pytest.mark.parametrize("waiting", [1, WORTHWHILE])
async def test_at_the_beat_of_a_process_that_is_pressed(monkeypatch: pytest.MonkeyPatch, waiting: int):
    """What comes meanwhile waits and goes together, unless it is worth a batch's costs."""
    rig = await Rig().begin()
    monkeypatch.setattr("warren.batch.Pacer.pause", lambda *_: 3_600.0)
    try:
        rig.bus.gate.clear()
        rig.uplink.publish(message(0), 0)
        await asyncio.sleep(0)
        for number in range(waiting):
            rig.uplink.publish(message(number), 0)
        rig.bus.gate.set()
        await eventually(lambda: len(rig.bus.sent) > 0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert [len(batch) for batch in rig.bus.attempts[1:]] == ([waiting] if waiting == WORTHWHILE else [])
    finally:
        await rig.uplink.close()


async def test_a_message_gives_up_at_its_deadline_and_a_join_does_not(rig: Rig):
    """Past its deadline a message is left out of the next attempt and its sender told; the join in the same
    batch goes.
    """
    rig.bus.turn(False)
    rig.uplink.publish(message(1, "a"), 0)
    rig.uplink.join(envelope.Join("r", "g~1", "ann"), 0)
    rig.uplink.publish(message(2), 0)
    await eventually(lambda: rig.bus.attempts)
    rig.expire(9.9)
    assert rig.undelivered == []
    rig.expire(10.0)
    assert rig.undelivered == [("g~1", "a"), ("g~1", "")]
    rig.bus.turn(True)
    await rig.uplink.flush()
    assert [type(item) for item in rig.bus.sent] == [envelope.Join]
    rig.expire(99.0)
    assert len(rig.undelivered) == 2


async def test_an_id_without_an_answer_is_told_once(rig: Rig):
    """A confirmed message with an id is told at its deadline unless a router answered; without an
    id never.
    """
    for number, ref in enumerate(("a", "b", "")):
        rig.uplink.publish(message(number, ref), 0)
    await rig.uplink.flush()
    rig.answered(envelope.Ack("g~1", "r", "a", "e", 1))
    rig.answered(envelope.Ack("g~1", "r", "unknown", "e", 1))
    rig.expire(50.0)
    rig.expire(60.0)
    assert rig.undelivered == [("g~1", "b")]


async def test_the_same_id_again_waits_for_one_answer(rig: Rig):
    """A message that its client sends again under the same id is told at most once."""
    rig.uplink.publish(message(1, "a"), 0)
    rig.clock.now = 1.0
    rig.uplink.publish(message(1, "a"), 0)
    await rig.uplink.flush()
    rig.expire(50.0)
    assert rig.undelivered == [("g~1", "a")]


async def test_the_same_id_in_another_room_is_another_message(rig: Rig):
    """Each waits for its own answer, is asked for again by itself and told by itself; a leave under that id
    is a third.
    """
    sent = [
        message(1, "a"),
        envelope.Publish("other", "CHAT", b"x", 2, "g~1", "ann", "a"),
        envelope.Leave(("r",), "g~1", "a"),
    ]
    rig.uplink.publish(sent[0], 0)
    rig.uplink.publish(sent[1], 0)
    rig.uplink.leave(sent[2], 0)
    await rig.uplink.flush()
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    rig.uplink.ask_again(0)
    await rig.uplink.flush()
    assert rig.bus.sent == sent * 2
    rig.answered(envelope.Ack("g~1", "other", "a", "e", 1))
    rig.answered(envelope.Left("g~1", "r", "a"))
    rig.expire(50.0)
    assert rig.undelivered == [("g~1", "a")]


async def test_what_a_router_refused_waits_no_more(rig: Rig):
    """A refusal names no room: of two messages under its id it ends the wait of the first, of others none,
    and of no leave.
    """
    rig.uplink.leave(envelope.Leave(("r",), "g~1", "a"), 0)
    for number, room in enumerate(("r", "other")):
        rig.uplink.publish(envelope.Publish(room, "CHAT", b"x", number, "g~1", "ann", "a"), 0)
    rig.uplink.publish(message(3, "b"), 0)
    await rig.uplink.flush()
    rig.answered(
        *(
            envelope.Refused(conn, ref, "forbidden", "no")
            for conn, ref in (("g~1", "a"), ("g~1", "unknown"), ("g~2", "b"))
        )
    )
    assert list(rig.uplink._unanswered) == [
        ("g~1", "a", "r", LEAVE), ("g~1", "a", "other", MESSAGE), ("g~1", "b", "r", MESSAGE)
    ]  # fmt: skip


async def test_a_full_buffer_refuses_messages_and_takes_joins():
    """Beyond its count or bytes a buffer refuses messages with Overloaded, while joins and leaves still find
    place.
    """
    rig = await Rig(count=4, bytes=10_000).begin()
    rig.bus.gate.clear()
    try:
        assert [rig.uplink.publish(message(number), 0) for number in range(4)] == [None] * 4
        assert isinstance(rig.uplink.publish(message(5), 0), Overloaded)
        assert rig.uplink.join(envelope.Join("r", "g~1", "ann"), 0)
    finally:
        await rig.uplink.close()
    large = await Rig(count=100, bytes=10_000).begin()
    large.bus.gate.clear()
    try:
        await asyncio.sleep(0)
        assert large.uplink.publish(message(1, size=6_000), 0) is None
        assert isinstance(large.uplink.publish(message(2, size=6_000), 0), Overloaded)
    finally:
        await large.uplink.close()


async def test_a_leave_without_place_begins_our_life_anew():
    """A leave that finds no place at all is told for its shard, a join says no."""
    rig = await Rig(count=2, bytes=10_000).begin()
    rig.bus.gate.clear()
    try:
        taken = [rig.uplink.join(envelope.Join("r", f"g~{number}", "ann"), 0) for number in range(10)]
        assert taken == [True] * 8 + [False] * 2
        # Nothing of it is sent or awaited, so no router will answer it.
        assert not rig.uplink.leave(envelope.Leave(("s",), "g~1", "l"), 0)
        assert (rig.uplink.life(0), rig.uplink.begun(0)) == (2, False)
        assert b"lives_ended_total 1.0" in rig.metrics.render()[0]
    finally:
        await rig.uplink.close()


async def crowded() -> tuple[Rig, asyncio.Task[None]]:
    """Fill a shard above half while nothing is confirmed; return the rig and who waits for place."""
    rig = await Rig(count=4, bytes=10_000).begin()
    rig.bus.gate.clear()
    for number in range(3):
        rig.uplink.publish(message(number), 0)
    held = asyncio.create_task(rig.uplink.place(0))
    await asyncio.sleep(0)
    assert not held.done()
    return rig, held


async def test_crowded_readers_wait_for_place():
    """Above half of a buffer who publishes is held, until the routers have counted so much that it is below
    again.
    """
    rig = await Rig(count=4, bytes=10_000).begin()
    for number in range(2):
        rig.uplink.publish(message(number), 0)
    assert not rig.uplink.crowded(0)
    rig.uplink.publish(message(2), 0)
    assert rig.uplink.crowded(0)
    held = asyncio.create_task(rig.uplink.place(0))
    await rig.uplink.flush()
    await asyncio.sleep(0)
    assert not held.done()
    rig.uplink.counted(0, 1, 1)
    await asyncio.sleep(0)
    assert not held.done()
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded(0)
    await rig.uplink.close()


async def test_an_absent_broker_releases_readers_and_refuses_above_half():
    """When the broker goes nobody is held any longer, and above half messages are refused as unavailable."""
    rig, held = await crowded()
    rig.bus.turn(False)
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded(0)
    assert isinstance(rig.uplink.publish(message(4), 0), BusUnavailable)
    await rig.uplink.close()


async def test_a_broker_that_holds_publishers_back_is_as_one_that_is_away():
    """Its alarm may last for hours: nobody is held for that, above half messages are refused, and all is well
    when it is over.
    """
    rig, held = await crowded()
    rig.bus.block(True)
    await asyncio.wait_for(held, 5)
    assert not rig.uplink.crowded(0)
    assert isinstance(rig.uplink.publish(message(4), 0), BusUnavailable)
    rig.bus.block(False)
    assert rig.uplink.crowded(0)
    assert rig.uplink.publish(message(4), 0) is None
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert len(rig.bus.sent) == 4
    await rig.uplink.close()


async def test_who_no_longer_waits_for_place_leaves_nothing_behind():
    """However many come and go while the broker takes nothing."""
    rig, held = await crowded()
    held.cancel()
    for _ in range(100):
        held = asyncio.create_task(rig.uplink.place(0))
        await asyncio.sleep(0)
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)
    assert not rig.uplink._shards[0].waiters
    rig.bus.gate.set()
    await rig.uplink.close()


async def test_spans_end_with_the_confirm_or_the_refusal(rig: Rig):
    """The span of a message's sending ends when its batch is confirmed, with the batch's count, or fails
    where it is refused.
    """
    tracing, spans = recording_tracing()

    def hop():
        return tracing.hop(HopKind.PUBLISH, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    rig.uplink.publish(message(1), 0, hop())
    assert not spans.get_finished_spans()
    await rig.uplink.flush()
    rig.bus.turn(False)
    rig.uplink.publish(message(2), 0, hop())
    rig.expire(99.0)
    first, second = spans.get_finished_spans()
    assert first.attributes["messaging.batch.message_count"] == 1
    assert (first.attributes.get("error.type"), second.attributes["error.type"]) == (None, "unavailable")
    rig.bus.turn(True)


async def test_our_life_begins_with_a_hello_on_each_shard():
    """Though nobody has anything to say; what comes meanwhile goes behind it."""
    rig = Rig()
    rig.bus.gate.clear()
    rig.uplink.begin()
    await asyncio.sleep(0)
    rig.uplink.publish(message(1), 0)
    assert (rig.uplink.life(0), rig.uplink.begun(0)) == (1, False)
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert rig.uplink.begun(0)
    assert [batch for _, batch in rig.bus.confirmed] == [[envelope.Hello()], [message(1)]]
    assert rig.bus.heads == [(1, 1), (1, 2)]
    await rig.uplink.close()


async def test_what_was_given_up_leaves_the_rest_under_a_new_number(rig: Rig):
    """While the first one fails its number stays; once something of it is given up it is used no more."""
    rig.bus.turn(False)
    rig.uplink.publish(message(1, "a"), 0)
    rig.clock.now = 5.0
    rig.uplink.publish(message(2, "b"), 0)
    await eventually(lambda: len(rig.bus.attempts) >= 2)
    rig.expire(10.0)
    rig.bus.turn(True)
    await rig.uplink.flush()
    assert rig.bus.heads[:3] == [(1, 1), (1, 2), (1, 2)]
    assert (rig.bus.heads[-1], rig.bus.sent) == ((1, 3), [message(2, "b")])


def said_in(room: str, name: str, conn: str = "g~1") -> envelope.Publish:
    return envelope.Publish(room, "CHAT", b"1", 1, conn, "ann", name)


async def test_what_waits_can_be_taken_back(rig: Rig):
    """One connection's messages to one room, those that were not sent; the others go, and are told of as
    ever.
    """
    rig.bus.gate.clear()
    rig.uplink.publish(said_in("r", "a"), 0)
    await eventually(lambda: rig.bus.attempts)
    kept = [said_in("s", "c"), said_in("r", "d", "g~2"), said_in("r", "~g~1.1")]
    for up in (said_in("r", "b"), *kept[:2], said_in("r", "b")):
        rig.uplink.publish(up, 0)
    assert rig.uplink.unsent("g~1") == {"r", "s"}
    assert rig.uplink.withdraw("g~1", "r") == ["b", "b"]
    assert rig.uplink.unsent("g~1") == {"r", "s"}  # of a nobody knows
    rig.uplink.publish(kept[2], 0)
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert rig.bus.sent == [said_in("r", "a"), *kept]
    rig.uplink.counted(0, 1, 3)
    assert rig.uplink.unsent("g~1") == set()
    rig.expire(99.0)
    assert sorted(rig.undelivered) == [("g~1", "a"), ("g~1", "c"), ("g~2", "d")]
    assert rig.uplink.unsent("g~1") == set()
    assert b'warren_gateway_drops_total{reason="withdrawn"} 2.0' in rig.metrics.render()[0]


async def test_what_was_taken_back_is_not_sent_once_the_broker_is_back(rig: Rig):
    """Neither what waited, nor what an attempt that failed may have brought into the log: of that its sender
    hears by its deadline that nobody knows.
    """
    rig.bus.turn(False)
    rig.uplink.publish(said_in("r", "a"), 0)
    await eventually(lambda: rig.bus.attempts)
    rig.uplink.publish(said_in("r", "b"), 0)
    rig.uplink.publish(said_in("s", "c"), 0)
    assert rig.uplink.withdraw("g~1", "r") == ["b"]
    rig.bus.turn(True)
    await rig.uplink.flush()
    assert rig.bus.sent == [said_in("s", "c")]
    rig.expire(10.0)
    assert rig.undelivered == [("g~1", "a"), ("g~1", "c")]


async def test_what_was_taken_back_does_not_count_in_another_life(rig: Rig):
    """What is in the log and did not count goes no second time."""
    rig.uplink.publish(said_in("r", "a"), 0)
    rig.uplink.publish(said_in("s", "b"), 0)
    await rig.uplink.flush()
    sent = len(rig.bus.sent)
    assert rig.uplink.withdraw("g~1", "r") == []
    assert rig.uplink.life_ended(0, 1, 1)
    await rig.uplink.flush()
    assert rig.bus.sent[sent:] == [said_in("s", "b")]


async def test_a_life_that_is_over_begins_anew_and_what_did_not_count_goes_again(rig: Rig):
    """What counted does not, nor what only asked to join; the sender's deadline stays what it was."""
    rig.uplink.publish(message(1, "a"), 0)
    await rig.uplink.flush()
    rig.uplink.publish(message(2, "b"), 0)
    rig.uplink.join(envelope.Join("r", "g~1", "ann"), 0)
    rig.uplink.leave(envelope.Leave(("r",), "g~2", "l"), 0)
    await rig.uplink.flush()
    rig.answered(envelope.Ack("g~1", "r", "a", "e", 1))
    sent = len(rig.bus.sent)
    assert not rig.uplink.life_ended(0, 7, 0)
    assert rig.uplink.life_ended(0, 1, 2)
    assert not rig.uplink.life_ended(0, 1, 2)
    await rig.uplink.flush()
    assert rig.bus.heads[-2:] == [(2, 1), (2, 2)]
    assert rig.bus.sent[sent:] == [message(2, "b"), envelope.Leave(("r",), "g~2", "l")]
    rig.expire(10.0)
    assert rig.undelivered == [("g~1", "b")]


async def test_a_confirm_of_a_life_that_is_over_says_nothing(rig: Rig):
    """Its messages go again behind the new life's Hello."""
    rig.bus.gate.clear()
    rig.uplink.publish(message(1, "a"), 0)
    await eventually(lambda: rig.bus.attempts)
    assert rig.uplink.life_ended(0, 1)
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert rig.bus.heads == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert rig.bus.sent == [message(1, "a")] * 2


async def test_a_count_before_the_confirm_ends_the_sending(rig: Rig):
    """A batch that failed, and has counted all the same, is not sent again."""
    rig.bus.errors = [NotConfirmed("?")]
    rig.uplink.publish(message(1, "a"), 0)
    await eventually(lambda: rig.bus.attempts)
    rig.uplink.counted(0, 1, 2)
    await rig.uplink.flush()
    assert len(rig.bus.attempts) == 1
    rig.answered(envelope.Ack("g~1", "r", "a", "e", 1))
    rig.expire(99.0)
    assert rig.undelivered == []


async def test_what_is_in_the_log_takes_its_place_until_it_has_counted():
    """Also what was given up: while no router counts, the log does not fill up."""
    rig = await Rig(count=4, bytes=10_000).begin()
    for number in range(4):
        assert rig.uplink.publish(message(number), 0) is None
    await rig.uplink.flush()
    rig.expire(99.0)
    assert rig.undelivered == []  # nobody waits for an answer to these
    assert isinstance(rig.uplink.publish(message(5), 0), Overloaded)
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    assert rig.uplink.publish(message(5), 0) is None
    await rig.uplink.close()


async def test_members_who_join_again_wait_for_place():
    """Some more may once so few joins and leaves wait that none of a client's is refused for them."""
    rig = await Rig(count=4, bytes=10_000).begin()
    await asyncio.wait_for(rig.uplink.place_for_joins(0), 5)
    rig.bus.gate.clear()
    for number in range(3):
        rig.uplink.join(envelope.Join("r", f"g~{number}", "ann"), 0)
    waits = asyncio.create_task(rig.uplink.place_for_joins(0))
    await asyncio.sleep(0)
    assert not waits.done()
    rig.bus.gate.set()
    await rig.uplink.flush()
    assert not waits.done()  # they are in the log, and no router has counted them
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    await asyncio.wait_for(waits, 5)
    await rig.uplink.close()


async def test_who_joins_and_leaves_in_a_loop_crowds_nobody_out():
    """While the broker is away what waits of one connection and room is one membership; when it is back, only
    the last word is sent.
    """
    rig = await Rig(count=2, bytes=10_000).begin()
    rig.bus.gate.clear()
    try:
        rig.uplink.publish(message(1), 0)
        await asyncio.sleep(0)  # it is under way
        for number in range(50):
            assert rig.uplink.join(envelope.Join("r", "g~1", "ann", f"j{number}"), 0, first=True)
            assert not rig.uplink.leave(envelope.Leave(("r",), "g~1", f"l{number}"), 0)
        last = envelope.Join("r", "g~1", "ann", "last")
        assert rig.uplink.join(last, 0, first=True)
        assert rig.uplink.join(envelope.Join("r", "g~2", "bob", "b"), 0, first=True)
        assert rig.uplink.life(0) == 1
        rig.bus.gate.set()
        await rig.uplink.flush()
        assert rig.bus.sent == [message(1), last, envelope.Join("r", "g~2", "bob", "b")]
        # What has been sent is left by a Leave that is sent too, and answered by a router.
        assert rig.uplink.leave(envelope.Leave(("r",), "g~1", "l"), 0)
    finally:
        await rig.uplink.close()


async def test_words_about_presence_go_up_among_the_joins(rig: Rig):
    """In their order; who watches and stops while nothing is sent has said nothing."""
    rig.bus.gate.clear()
    watch, off = (envelope.Watch("r", "g~1", "", on) for on in (True, False))
    join = envelope.Join("r", "g~1", "ann", "j")
    rig.uplink.publish(envelope.Publish("r", "CHAT", b"1", 1), 0)
    await asyncio.sleep(0)
    for _ in range(1_000):
        assert rig.uplink.tell(watch, 0)
        assert rig.uplink.tell(off, 0)
    assert rig.uplink.tell(watch, 0)
    rig.uplink.join(join, 0, first=True)
    for number in range(10):
        assert rig.uplink.tell(envelope.Inform("r", "g~1", b"%d" % number), 0)
    rig.bus.gate.set()
    await rig.uplink.flush()
    sent = [each for _, batch in rig.bus.confirmed for each in batch]
    kinds = (envelope.Watch, envelope.Inform, envelope.Join)
    assert [each for each in sent if isinstance(each, kinds)] == [
        watch,
        join,
        envelope.Inform("r", "g~1", b"9"),
    ]


async def test_a_word_about_presence_may_find_no_place():
    """Then it is refused; where somebody stops to watch our life on the shard ends, for nobody else could
    tell the routers.
    """
    rig = await Rig(count=1).begin()
    rig.bus.gate.clear()
    try:
        watches = [envelope.Watch(f"r{number}", "g~1", "", True) for number in range(5)]
        assert [rig.uplink.tell(watch, 0) for watch in watches] == [True] * 4 + [False]
        assert not rig.uplink.tell(envelope.Inform("x", "g~1", b"1"), 0)
        assert rig.uplink.life(0) == 1
        assert not rig.uplink.tell(envelope.Watch("y", "g~1", "", False), 0)
        assert rig.uplink.life(0) == 2
    finally:
        await rig.uplink.close()


async def test_what_was_dropped_with_a_life_takes_nothing_back():
    """The members join again in the new one, and a leave of such a join is sent."""
    rig = await Rig(count=10, bytes=10_000).begin()
    rig.bus.gate.clear()
    try:
        rig.uplink.publish(message(1), 0)
        await asyncio.sleep(0)
        rig.uplink.join(envelope.Join("r", "g~1", "ann", "j"), 0, first=True)
        rig.uplink.life_ended(0, 1)
        assert rig.uplink.leave(envelope.Leave(("r",), "g~1"), 0)
    finally:
        await rig.uplink.close()


async def test_what_is_answered_is_not_told_though_it_was_not_counted_yet(rig: Rig):
    """An ACK says that it is in the log and numbered."""
    rig.uplink.publish(message(1, "a"), 0)
    await rig.uplink.flush()
    rig.answered(envelope.Ack("g~1", "r", "a", "e", 1))
    rig.expire(99.0)
    assert rig.undelivered == []


async def test_answers_that_may_be_lost_are_asked_for(rig: Rig):
    """What has counted and waits for one is sent again as it was; what is answered, or waits for none, is
    not.
    """
    for number, ref in enumerate(("a", "b", "")):
        rig.uplink.publish(message(number, ref), 0)
    for number, ref in enumerate(("l1", "l2"), 1):
        rig.uplink.leave(envelope.Leave(("r",), f"g~{number}", ref), 0)
    await rig.uplink.flush()
    rig.answered(envelope.Ack("g~1", "r", "a", "e", 1))
    rig.answered(envelope.Left("g~1", "r", "l1"))
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    sent = len(rig.bus.sent)
    rig.uplink.ask_again(0)
    await rig.uplink.flush()
    assert rig.bus.sent[sent:] == [message(1, "b"), envelope.Leave(("r",), "g~2", "l2")]
    rig.uplink.counted(0, 1, rig.bus.heads[-1][1])
    rig.answered(envelope.Ack("g~1", "r", "b", "e", 1))
    rig.answered(envelope.Left("g~2", "r", "l2"))
    rig.uplink.ask_again(0)
    await rig.uplink.flush()
    assert len(rig.bus.sent) == sent + 2
    assert rig.uplink._shards[0].batches.charged == 0
    rig.expire(99.0)
    assert rig.undelivered == []
