"""A gateway's life at the broker: from its own queue to outboxes and sessions, by the chain of feeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ManualClock
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.broker_presence import HEAL_S, ROUTERS_S, BrokerPresence
from gateway.core.feed_timeouts import BARREN_FIRST_S, SILENCE_S
from gateway.core.hub import Hub
from gateway.core.inputs import TokenAccepted, Undelivered
from gateway.core.permissions import Identity
from gateway.shell.backend_calls import BackendCalls
from gateway.shell.broker_link import PREFETCH, BrokerEnds, BrokerLink
from gateway.shell.connection import Connection
from gateway.shell.downlink import Downlink
from warren import envelope
from warren.address import shard_of
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.metrics import GatewayMetrics
from warren.own_queue import OwnQueue
from warren.position import LogPosition, Position
from warren.telemetry import Tracing
from warren.topology import Topology

SHARDS = 4
STEP_S = ROUTERS_S / 2
SHARD = shard_of("x", SHARDS)


async def _nothing() -> None:
    """Nothing to start, or to end."""


class ListUplink:
    """Our lives, and what was said of them."""

    shards = SHARDS

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.given_up: list[tuple[str, Undelivered]] = []
        self.lives = [1] * SHARDS
        self.has_begun = True

    def life(self, shard: int) -> int:
        return self.lives[shard]

    def begun(self, shard: int) -> bool:
        return self.has_begun

    def counted(self, shard: int, life: int, number: int) -> None:
        self.events.append(("counted", shard, life, number))

    def life_ended(self, shard: int, life: int, counted: int | None) -> bool:
        if self.lives[shard] != life:
            return False
        self.events.append(("life_ended", shard, life, counted))
        self.lives[shard] += 1
        return True

    def begin(self) -> None:
        self.events.append("hello")

    def answered(self, items: Sequence[envelope.Item]) -> None:
        self.events += [("answered", item) for item in items if not isinstance(item, envelope.Deliver)]

    def expire(self, now: float) -> list[tuple[str, Undelivered]]:
        told, self.given_up = self.given_up, []
        return told

    async def close(self) -> None:
        self.events.append("uplink closed")

    def ask_again(self, shard: int) -> None:
        self.events.append(("ask_again", shard))


class Rig:
    """A link on a memory bus, with one connection that is a member of ``x``."""

    def __init__(self) -> None:
        self.topology = Topology(shards=SHARDS)
        self.broker = MemoryBroker()
        self.bus = MemoryBus(self.broker, self.topology)
        self.sender = MemoryBus(self.broker, self.topology)
        self.hub, self.metrics, self.clock = Hub(), GatewayMetrics(), ManualClock(5_000_000, now=1.0)
        self.events: list[Any] = []
        self.asked: list[tuple[int, envelope.Number, bool]] = []  # (shard, what, whether everyone is)
        self.uplink = ListUplink(self.events)
        self.presence = BrokerPresence("g", SHARDS, self.clock.now)
        self.answers: list[tuple[str, envelope.Progress]] = []
        self.routers = SimpleNamespace(
            ask=self._ask,
            answer=lambda router, said: self.answers.append((router, said)),
            close=self._ended("routers"),
        )
        reads = SimpleNamespace(
            entered=lambda item, shard: self.events.append(item),
            behind=lambda gaps, shard: self.events.append(("behind", shard, [gap.room for gap in gaps])),
            page=self.events.append,
            history_page=self.events.append,
            renew=lambda shard: self.events.append(("renew", shard)),
            left=lambda room, conn: None,
        )
        self.room_presence = SimpleNamespace(
            diff=self.events.append,
            page=self.events.append,
            renew=lambda shard: self.events.append(("renew presence", shard)),
        )
        self.queue = OwnQueue(self.bus, partial(self.topology.gateway_queue, "g"), prefetch=PREFETCH)
        self.heartbeat = SimpleNamespace(
            soon=lambda: self.events.append("begun"),
            start=self._started("heartbeat"),
            leave=self._ended("heartbeat"),
        )
        self.posts = SimpleNamespace(
            passed=self.events.append, answered=self.events.append, close=self._ended("posts")
        )
        self.one_messages = SimpleNamespace(answered=self.events.append)
        self.connection = self._connect()
        self.transport = self.connection.transport
        self.registry = SimpleNamespace(
            tell=self.connection.put,
            find=lambda name: self.connection if name == "g~1" else None,
        )
        rejoining = SimpleNamespace(
            begin=lambda shard: self.events.append(("rejoin", shard)),
            ask=lambda: self.events.append("where is everyone"),
            stop=self._ended("rejoining"),
        )
        self.link = BrokerLink(
            self.presence,
            BrokerEnds(
                self.bus,
                self.topology,
                self.queue,
                self.uplink,  # type: ignore[arg-type]
                Downlink(self.hub, reads, Tracing("gateway"), self.clock, self.metrics),  # type: ignore[arg-type]
                self.room_presence,  # type: ignore[arg-type]
                self.routers,  # type: ignore[arg-type]
                BackendCalls("g", self.bus, self.topology, self.clock, self.metrics, {}),
                self.heartbeat,  # type: ignore[arg-type]
                SimpleNamespace(),  # type: ignore[arg-type]
                self.posts,  # type: ignore[arg-type]
                self.one_messages,  # type: ignore[arg-type]
            ),
            self.registry,  # type: ignore[arg-type]
            rejoining,  # type: ignore[arg-type]
            self.clock,
            self.metrics,
        )
        self.hub.join("x", "g~1", Position("e", 0))
        self.offset = 0

    def _ask(self, shard: int, what: envelope.Number, *, everyone: bool = False) -> None:
        self.asked.append((shard, what, everyone))

    def _started(self, name: str) -> Callable[[object], Awaitable[None]]:
        async def start(_: object) -> None:
            self.events.append(f"{name} started")

        return start

    def _ended(self, name: str) -> Callable[[], Awaitable[None]]:
        async def end() -> None:
            self.events.append(f"{name} ended")

        return end

    def _connect(self) -> Connection:
        rig = ConnectionRig()
        context = rig.connection._context
        object.__setattr__(context, "hub", self.hub)
        rig.connection.put(TokenAccepted(Identity("ann")))
        join = envelope.Join("x", "g~1", "ann", "j")
        rig.connection.session._pending.ask(join)
        rig.connection.session._pending.answered("x", "j")
        rig.transport.written.clear()
        return rig.connection

    async def send(self, *envelopes: envelope.Envelope) -> None:
        await self.sender.publish(self.topology.egress, "g", envelope.encode(envelopes))

    def feed(self, *items: envelope.Item, **fields: Any) -> envelope.Feed:
        """Return the next feed of the shard of ``x``, with each item at an offset of its own."""
        after = LogPosition("l", self.offset, 0) if self.offset else None
        placed = tuple((self.offset + number, 1, item) for number, item in enumerate(items, 1))
        self.offset += len(items) + 1
        made = {
            "router": "r1",
            "shard": SHARD,
            "life": 1,
            "counted": 7,
            "after": after,
            "upto": LogPosition("l", self.offset, 0),
            "items": placed,
        }
        return envelope.Feed(**(made | fields))

    @property
    def upto(self) -> LogPosition:
        """Where the last feed ended."""
        return LogPosition("l", self.offset, 0)

    def deliver(self, seq: int, **fields: Any) -> envelope.Deliver:
        made = {
            "room": "x",
            "epoch": "e",
            "seq": seq,
            "type": "CHAT",
            "payload": b"%d" % seq,
            "at_us": 4_000_000,
        }
        return envelope.Deliver(**(made | fields))

    def number(self, mine: LogPosition | None, life: int = 1, shard: int = SHARD) -> envelope.Number:
        return envelope.Number("g", shard, life, mine)

    def of_kind(self, *kinds: str) -> list[Any]:
        """Return what was said of these kinds."""
        return [event for event in self.events if isinstance(event, tuple) and event[0] in kinds]

    def told(self) -> list[tuple[str, Any]]:
        return [
            (message["type"], message.get("seq", message["payload"])) for message in self.transport.messages()
        ]

    def count(self, name: str) -> float:
        """Return a counter without labels, or with the labels that are in the name."""
        line = next(
            line for line in self.metrics.render()[0].decode().splitlines() if line.startswith(name + " ")
        )
        return float(line.split()[1])


@pytest.fixture
async def rig():
    made = Rig()
    await made.sender.start()
    made.link.start()
    await eventually(lambda: "heartbeat started" in made.events)
    made.asked.clear()
    made.events.clear()
    made.transport.written.clear()
    yield made
    await made.link.stop()
    await made.sender.close()


async def test_messages_and_answers_keep_their_order(rig: Rig):
    """What a feed holds reaches the client in the feed's order, messages and answers mixed; then its batches
    have counted.
    """
    refused = envelope.Refused("g~1", "m", "internal", "no")
    await rig.send(rig.feed(rig.deliver(1), rig.deliver(2), refused, rig.deliver(3)))
    await eventually(lambda: len(rig.told()) == 4)
    assert [what for what, _ in rig.told()] == ["CHAT", "CHAT", "ERROR", "CHAT"]
    assert rig.events[-2:] == [("answered", refused), ("counted", SHARD, 1, 7)]
    assert rig.presence.router_of(SHARD) == "r1"


async def test_a_leave_is_answered(rig: Rig):
    """Under its ref and its room, since a message of the same id may wait too."""
    left = envelope.Left("g~1", "y", "l1")
    await rig.send(rig.feed(left))
    await eventually(lambda: [message["type"] for message in rig.transport.messages()] == ["LEFT"])
    assert rig.of_kind("answered") == [("answered", left)]


async def test_acks_do_not_part_a_burst(rig: Rig):
    """ACKs between messages come behind them, in their order and in the same write."""
    acks = [envelope.Ack("g~1", "x", f"m{number}", "e", number) for number in (1, 2)]
    await rig.send(rig.feed(rig.deliver(1), acks[0], rig.deliver(2), acks[1], rig.deliver(3)))
    await eventually(lambda: len(rig.told()) == 5)
    assert rig.told()[:3] == [("CHAT", number) for number in (1, 2, 3)]
    assert rig.told()[3:] == [("ACK", {"seq": number, "epoch": "e"}) for number in (1, 2)]
    assert rig.transport.written[0].count(b"CHAT") == 3  # joined once for all members
    assert rig.of_kind("answered") == [("answered", ack) for ack in acks]


async def test_who_enters_does_so_at_its_place(rig: Rig):
    """What came before it has been given out by then."""
    entered = envelope.Entered("g~1", "y", Position("e", 3), "j9")
    await rig.send(rig.feed(rig.deliver(1), entered, rig.deliver(2)))
    await eventually(lambda: len(rig.told()) == 2)
    assert entered in rig.events


async def test_answers_of_reads_are_passed_on(rig: Rig):
    """They are no part of the chain."""
    page = envelope.Page("x", "e", 0, (), whole=True, kept=False, ref=1)
    history = envelope.HistoryPage("g~1", "x", "h", (), more=False)
    await rig.send(page, history)
    await eventually(lambda: history in rig.events)
    assert page in rig.events


async def test_a_repeat_is_dropped_and_still_counts(rig: Rig):
    """Nothing is given out twice; that our batches counted may be news."""
    feed = rig.feed(rig.deliver(1))
    await rig.send(feed, feed)
    await eventually(lambda: rig.of_kind("counted") == [("counted", SHARD, 1, 7)] * 2)
    assert rig.told() == [("CHAT", 1)]
    assert rig.count('warren_gateway_drops_total{reason="repeat"}') == 1


async def test_a_gap_is_asked_for_at_once_and_again_while_it_lasts(rig: Rig):
    """Of the router that speaks; nothing behind it is given out, and nothing counts."""
    first, second, third = (rig.feed(rig.deliver(seq)) for seq in (1, 2, 3))
    await rig.send(first, third)
    await eventually(lambda: rig.asked)
    assert rig.asked == [(SHARD, rig.number(first.upto), False)]
    assert (rig.told(), len(rig.of_kind("counted"))) == ([("CHAT", 1)], 1)
    await rig.send(third)
    await eventually(lambda: rig.count("warren_gateway_feed_gaps_total") == 2)
    assert len(rig.asked) == 1
    rig.clock.now += 0.9
    rig.link.tick(rig.clock.now)
    assert rig.asked[1:] == [(SHARD, rig.number(first.upto), False)]
    await rig.send(second, third)
    await eventually(lambda: rig.told() == [("CHAT", seq) for seq in (1, 2, 3)])
    rig.clock.now += 0.9
    rig.link.tick(rig.clock.now)
    assert len(rig.asked) == 2


async def test_a_message_that_a_feed_names_is_taken_from_the_bodies(rig: Rig):
    """One that is not at hand is a gap; what stands before it in the feed is given out."""
    await rig.send(rig.feed())
    bodies = envelope.Bodies(SHARD, "l", ((3, 1, rig.deliver(2)),))
    feed = rig.feed(rig.deliver(1), envelope.Named(), envelope.Named())
    await rig.send(bodies, feed)
    await eventually(lambda: rig.asked)
    assert rig.told() == [("CHAT", 1), ("CHAT", 2)]
    assert rig.asked == [(SHARD, rig.number(LogPosition("l", 3, 1)), False)]
    assert len(rig.of_kind("counted")) == 1  # of the feed before


async def test_silence_is_asked_about(rig: Rig):
    """Of everyone, on each shard, once our beginning there is in the log."""
    rig.uplink.has_begun = False
    rig.clock.now += SILENCE_S
    rig.link.tick(rig.clock.now)
    assert rig.asked == []
    rig.uplink.has_begun = True
    rig.link.tick(rig.clock.now)
    assert rig.asked == [(shard, rig.number(None, shard=shard), True) for shard in range(SHARDS)]


async def test_a_router_that_begins_to_speak_is_told_where_we_stand(rig: Rig):
    """And what the last one was asked is asked again."""
    feed = rig.feed(rig.deliver(1))
    await rig.send(feed, envelope.Speaker("r2", SHARD))
    await eventually(lambda: rig.of_kind("renew") == [("renew", SHARD)])
    await eventually(lambda: rig.of_kind("renew presence") == [("renew presence", SHARD)])
    assert rig.asked == [(SHARD, rig.number(feed.upto), False)]
    assert rig.presence.router_of(SHARD) == "r2"
    rig.uplink.has_begun = False
    await rig.send(envelope.Speaker("r2", 0))
    await eventually(lambda: ("renew", 0) in rig.events)
    assert len(rig.asked) == 1


async def test_a_router_that_asks_hears_how_far_we_have_been_told(rig: Rig):
    """What came before the question has been given out; of a shard that there is not, nothing is said."""
    feed = rig.feed(rig.deliver(1))
    await rig.send(feed, envelope.ProgressQuery("r9", SHARD), envelope.ProgressQuery("r9", 99))
    await eventually(lambda: rig.answers)
    assert rig.answers == [("r9", envelope.Progress("g", SHARD, 1, feed.upto))]
    assert rig.told() == [("CHAT", 1)]
    assert rig.asked == []


async def test_a_router_that_asks_hears_for_how_many_a_message_was_what(rig: Rig):
    """What came before the question has been given out; of a shard that there is not, nothing is said."""
    query = envelope.CountsQuery("r9", SHARD, "x", "e", 1)
    await rig.send(rig.feed(rig.deliver(1)), query, msgspec.structs.replace(query, shard=99))
    await eventually(lambda: rig.answers)
    assert rig.answers == [("r9", envelope.Counts("g", SHARD, "x", "e", 1, 1))]


async def test_what_routers_say_of_presence_is_passed_on(rig: Rig):
    """It has no place in a chain."""
    diff = envelope.PresenceDiff("x", 5, 1, 1, 7)
    page = envelope.PresencePage("g~0", "x", "1", 5, 1, 1, 7)
    await rig.send(diff, page)
    await eventually(lambda: rig.events[-2:] == [diff, page])


async def test_what_is_posted_and_who_may_say_something_is_passed_on(rig: Rig):
    """Between gateways, and by routers; it has no place in a chain either."""
    said = [
        envelope.Post("h", 1, "g~1", b"d", b"[]"),
        envelope.PostAnswer(1, 202),
        envelope.AccessAnswer("g~0", 0),
    ]
    await rig.send(*said)
    await eventually(lambda: rig.events[-3:] == said)


async def test_a_life_that_is_over_is_begun_anew(rig: Rig):
    """Once; its members join again. What comes of the old one is dropped, the new one begins with its own
    chain.
    """
    await rig.send(rig.feed(rig.deliver(1)))
    old = rig.feed(rig.deliver(2))
    ended = envelope.LifeEnded(SHARD, 1, 5)
    await rig.send(ended, ended, old)
    await eventually(lambda: rig.of_kind("life_ended", "rejoin"))
    await eventually(lambda: rig.count('warren_gateway_drops_total{reason="other_life"}') == 1)
    assert rig.of_kind("life_ended", "rejoin") == [("life_ended", SHARD, 1, 5), ("rejoin", SHARD)]
    assert str(SHARD) in str(rig.presence.log_lacking())
    await rig.send(rig.feed(rig.deliver(2), life=2, after=None, counted=1))
    await eventually(lambda: rig.told() == [("CHAT", 1), ("CHAT", 2)])
    assert rig.of_kind("counted")[-1] == ("counted", SHARD, 2, 1)


async def test_another_life_of_the_log_ends_ours(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    """Nothing of ours is in it, and the bus hears that it may be another stream."""
    remade: list[str] = []
    monkeypatch.setattr(rig.bus, "stream_remade", remade.append)
    await rig.send(rig.feed(rig.deliver(1)))
    await rig.send(rig.feed(rig.deliver(2), upto=LogPosition("m", 1, 1)))
    await eventually(lambda: rig.of_kind("life_ended", "rejoin"))
    assert rig.of_kind("life_ended", "rejoin") == [("life_ended", SHARD, 1, 0), ("rejoin", SHARD)]
    assert rig.told() == [("CHAT", 1)]
    assert remade == [rig.topology.log(SHARD).name]


async def test_what_is_not_to_be_had_is_passed_over_and_members_join_again(rig: Rig):
    """Once; one that is repeated or of another life does nothing, one of another life of the log
    ends ours.
    """
    first = rig.feed(rig.deliver(1))
    upto = LogPosition("l", 50, 2)
    reset = envelope.Reset("r2", SHARD, 1, upto, 9)
    await rig.send(first, reset, reset, envelope.Reset("r2", SHARD, 2, upto, 9))
    await eventually(lambda: rig.count('warren_gateway_drops_total{reason="other_life"}') == 1)
    assert rig.of_kind("ask_again", "rejoin") == [("ask_again", SHARD), ("rejoin", SHARD)]
    assert rig.of_kind("counted")[-1] == ("counted", SHARD, 1, 9)
    assert rig.count("warren_gateway_resets_total") == 1
    rig.offset = 50
    await rig.send(rig.feed(rig.deliver(2), after=upto))
    await eventually(lambda: rig.told() == [("CHAT", 1), ("CHAT", 2)])
    await rig.send(envelope.Reset("r2", SHARD, 1, LogPosition("m", 1, 1), 0))
    await eventually(lambda: rig.of_kind("life_ended") == [("life_ended", SHARD, 1, 0)])


async def test_a_life_that_nobody_has_heard_of_is_begun_anew(rig: Rig):
    """After long, on those shards alone of which nothing has come."""
    for _ in range(int(BARREN_FIRST_S / STEP_S) + 1):
        await rig.send(rig.feed())
        await eventually(
            lambda: rig.of_kind("counted") != [] and not rig.presence.number(SHARD).mine < rig.upto
        )
        rig.link.tick(rig.clock.now)
        rig.clock.now += STEP_S
    lacking = [shard for shard in range(SHARDS) if shard != SHARD]
    assert rig.of_kind("life_ended") == [("life_ended", shard, 1, None) for shard in lacking]
    assert rig.of_kind("rejoin") == [("rejoin", shard) for shard in lacking]


async def test_while_there_is_no_router_no_life_is_begun_anew(rig: Rig):
    """Each new life would write again what the log holds already, until it has no place for it. What comes of
    our own probes is no word of a router.
    """
    for _ in range(int(2 * BARREN_FIRST_S)):
        await rig.queue.probe()
        await asyncio.sleep(0)
        rig.link.tick(rig.clock.now)
        rig.clock.now += 1.0
    assert rig.of_kind("life_ended") == []


async def test_a_new_queue_says_where_we_stand(rig: Rig):
    """Each time the queue is consumed anew, under a new name, everyone is told on each shard, since what was
    sent to the old one is lost.
    """
    first = rig.queue.name
    rig.broker.cut(rig.bus)
    assert not rig.queue.active
    rig.clock.now += 60.0
    rig.link.tick(rig.clock.now)
    assert rig.asked == []
    rig.broker.restore(rig.bus)
    await eventually(lambda: rig.queue.active)
    assert rig.queue.name != first
    assert rig.events == ["begun"]
    assert rig.asked == [(shard, rig.number(None, shard=shard), True) for shard in range(SHARDS)]


async def test_what_is_for_nobody_here_is_dropped(rig: Rig):
    """Messages for rooms without members here, answers for connections that have gone, and misplaced kinds
    and shards do nothing.
    """
    await rig.send(
        envelope.Heartbeat("h", 1),
        rig.deliver(1),
        envelope.Speaker("r1", SHARDS),
        rig.feed(
            rig.deliver(1, room="elsewhere"), envelope.Refused("g~99", "m", "forbidden", "no"), rig.deliver(1)
        ),
    )
    await eventually(lambda: rig.told() == [("CHAT", 1)])
    assert rig.count('warren_gateway_drops_total{reason="misplaced"}') == 3


async def test_expired_messages_count_for_the_seq(rig: Rig):
    """A message that has expired is not delivered, and its seq makes no gap."""
    await rig.send(rig.feed(rig.deliver(1, expires_ms=1), rig.deliver(2)))
    await eventually(lambda: rig.told())
    assert rig.told() == [("CHAT", 2)]
    assert rig.count('warren_gateway_drops_total{reason="expired"}') == 1


async def test_a_hole_in_a_room_is_caught_up(rig: Rig):
    """Behind a Reset the room goes on, and its members catch up by reads."""
    await rig.send(rig.feed(rig.deliver(1), rig.deliver(4)))
    await eventually(lambda: rig.of_kind("behind") == [("behind", SHARD, ["x"])])
    assert rig.told() == [("CHAT", 1)]


async def test_clients_are_told_whichever_connection_is_known_to_be_gone_first(rig: Rig):
    """Also while the other one still seems to take what is published; and when both are back."""
    assert rig.presence.is_up
    rig.bus._whole.set(False)
    assert rig.bus.up
    assert rig.presence.state == "down"
    assert [message["type"] for message in rig.transport.messages()] == ["DEGRADED"]
    assert b"bus_up 0.0" in rig.metrics.render()[0]
    rig.bus._told_blocked.set(True)
    rig.bus._told_blocked.set(False)
    assert rig.presence.state == "down"
    rig.bus._whole.set(True)
    assert rig.presence.state == "up"
    assert [message["type"] for message in rig.transport.messages()] == ["DEGRADED", "RESTORED"]


async def test_a_fault_in_one_body_is_no_end(rig: Rig):
    """It is counted, and the next one is taken."""
    rig.uplink.answered = None  # type: ignore[assignment, method-assign]
    await rig.send(rig.feed(envelope.Refused("g~1", "m", "internal", "no")))
    await eventually(lambda: rig.count('warren_gateway_drops_total{reason="downlink_failed"}') == 1)
    await rig.send(rig.feed(rig.deliver(1)))
    await eventually(lambda: ("CHAT", 1) in rig.told())


async def test_a_chain_of_which_a_part_could_not_be_given_out_is_mended(rig: Rig):
    """Our number is past it, so no feed brings it again: the members join again and answers are asked for, a
    moment later and once.
    """
    rig.uplink.answered = None  # type: ignore[assignment, method-assign]
    for ref in ("m", "n"):
        await rig.send(rig.feed(envelope.Refused("g~1", ref, "internal", "no")))
    await eventually(lambda: rig.count('warren_gateway_drops_total{reason="downlink_failed"}') == 2)
    rig.link.tick(rig.clock.now + HEAL_S - 0.1)
    assert rig.of_kind("ask_again", "rejoin") == []
    rig.link.tick(rig.clock.now + HEAL_S)
    rig.link.tick(rig.clock.now + HEAL_S)
    assert rig.of_kind("ask_again", "rejoin") == [("ask_again", SHARD), ("rejoin", SHARD)]


async def test_latency_and_counts_are_measured(rig: Rig):
    """Each message's way from its entry to its members is measured, and messages out are counted by
    recipient.
    """
    await rig.send(rig.feed(rig.deliver(1), rig.deliver(2)))
    await eventually(lambda: len(rig.told()) == 2)
    assert rig.count('warren_gateway_hop_seconds_sum{hop="end_to_end"}') == 2
    assert rig.count('warren_gateway_messages_out_total{type="CHAT"}') == 2
