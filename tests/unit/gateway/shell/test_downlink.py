"""From the gateway's own queue to outboxes and sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gateway.core.lease import Lease
from tests.support.eventually import eventually
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.hub import Hub
from gateway.shell.connection import Connection
from gateway.shell.downlink import Downlink
from warren import envelope
from warren.address import shard_of
from warren.bus.memory import MemoryBroker, MemoryBus
from warren.metrics import GatewayMetrics
from warren.position import Position
from warren.telemetry import Tracing
from warren.topology import Topology

SHARDS = 4


class Clock:
    """A wall that stands still."""

    def monotonic(self) -> float:
        return 1.0

    def wall_us(self) -> int:
        return 5_000_000

    def thread(self) -> float:
        return 0.0


class Rig:
    """A downlink on a memory bus, with one connection that is a member of ``x``."""

    def __init__(self) -> None:
        self.topology = Topology(shards=SHARDS)
        self.broker = MemoryBroker()
        self.bus = MemoryBus(self.broker, self.topology)
        self.sender = MemoryBus(self.broker, self.topology)
        self.hub, self.metrics = Hub(SHARDS), GatewayMetrics()
        self.events: list[Any] = []
        self.lease = Lease(SHARDS, 4.0, 1.0)
        announcer = SimpleNamespace(
            returned=lambda: self.events.append("returned"), answer=self.events.append, check=lambda: None
        )
        gaps = SimpleNamespace(
            noticed=lambda rooms, now: self.events.append(("gaps", rooms)),
            renew=lambda shard, now: self.events.append(("renew", shard)),
        )
        self.waits = True  # whether an answer is waited for
        uplink = SimpleNamespace(answered=self._answered)
        self.downlink = Downlink(
            "g",
            self.bus,
            self.topology,
            Clock(),
            self.metrics,
            Tracing("gateway"),
            self.hub,
            uplink,  # type: ignore[arg-type]
            announcer,  # type: ignore[arg-type]
            self.lease,
            gaps,  # type: ignore[arg-type]
            on_asked=lambda shard: self.events.append(("asked", shard)),
        )
        self.connection = self._connect()
        self.wire = self.connection.wire
        self.hub.join("x", "g~1", Position("e", 0))

    def _connect(self) -> Connection:
        rig = ConnectionRig()
        around = rig.connection._around
        object.__setattr__(around, "hub", self.hub)
        rig.connection._identify(around.authenticator.guest("ann"))
        join = envelope.Join("x", "g~1", "ann", "j")
        rig.connection.session._membership.ask(join)
        rig.connection.session._membership.answered("x", "j")
        rig.wire.written.clear()
        return rig.connection

    def _answered(self, conn: str, ref: str) -> bool:
        self.events.append(("answered", conn, ref))
        return self.waits

    async def send(self, *envelopes: envelope.Envelope) -> None:
        await self.sender.publish(self.topology.egress, "g", envelope.encode(envelopes))

    def deliver(self, seq: int, **fields: Any) -> envelope.Deliver:
        made = {
            "room": "x",
            "epoch": "e",
            "seq": seq,
            "type": "CHAT",
            "payload": b"%d" % seq,
            "at_us": 4_000_000,
            "term": 1,
        }
        return envelope.Deliver(**(made | fields))

    def told(self) -> list[tuple[str, Any]]:
        return [(message["type"], message.get("seq", message["payload"])) for message in self.wire.messages()]


@pytest.fixture
async def rig():
    made = Rig()
    await made.bus.start()
    await made.sender.start()
    await made.downlink.start()
    yield made
    await made.downlink.stop()
    await made.bus.close()
    await made.sender.close()


async def test_messages_and_answers_keep_their_order(rig: Rig):
    """What a batch holds reaches the client in the batch's order, messages and answers mixed."""
    refused = envelope.Refused("g~1", "m", "internal", "no")
    await rig.send(rig.deliver(1), rig.deliver(2), refused, rig.deliver(3))
    await eventually(lambda: len(rig.told()) == 4)
    assert [what for what, _ in rig.told()] == ["CHAT", "CHAT", "ERROR", "CHAT"]
    assert ("answered", "g~1", "m") in rig.events


async def test_acks_do_not_part_a_burst(rig: Rig):
    """ACKs between messages come behind them, in their order and in the same write."""
    acks = [envelope.Ack("g~1", "x", f"m{number}", "e", number, 1) for number in (1, 2)]
    await rig.send(rig.deliver(1), acks[0], rig.deliver(2), acks[1], rig.deliver(3))
    await eventually(lambda: len(rig.told()) == 5)
    assert rig.told()[:3] == [("CHAT", number) for number in (1, 2, 3)]
    assert rig.told()[3:] == [("ACK", {"seq": number, "epoch": "e"}) for number in (1, 2)]
    assert rig.wire.written[0].count(b"CHAT") == 3  # joined once for all members
    assert [event for event in rig.events if event[0] == "answered"] == [("answered", "g~1", f"m{n}") for n in (1, 2)]


async def test_an_answer_that_was_asked_for_twice_is_told_once(rig: Rig):
    """An answer to an inquiry is told where one is waited for; an ordinary one always."""
    rig.waits = False
    again, plain = (envelope.Ack("g~1", "x", "m", "e", 2, 1, told) for told in (True, False))
    await rig.send(again, plain)
    await eventually(lambda: rig.told())
    rig.waits = True
    await rig.send(again)
    await eventually(lambda: len(rig.told()) == 2)
    assert rig.told() == [("ACK", {"seq": 2, "epoch": "e"})] * 2


async def test_an_older_term_says_nothing_any_more(rig: Rig):
    """Answers and messages of an older term are dropped and counted, those of a newer one pass."""
    rig.hub.fence(shard_of("x", SHARDS), 5)
    old = envelope.Ack("g~1", "x", "m", "e", 1, 4)
    await rig.send(old, rig.deliver(1, term=4), envelope.Ack("g~1", "x", "n", "e", 1, 6))
    await eventually(lambda: rig.told())
    assert rig.told() == [("ACK", {"seq": 1, "epoch": "e"})]
    assert b'drops_total{reason="fenced"} 2.0' in rig.metrics.render()[0]


async def test_asks_go_to_the_announcer_and_everything_open_is_asked_again(rig: Rig):
    """Each Ask, also of a term that is known: what was answered for us may have been lost."""
    for ref in (1, 2):
        ask = envelope.Ask("r", 2, 7, ref)
        await rig.send(ask)
        await eventually(lambda ask=ask: ask in rig.events)
    assert rig.events[-3:] == [ask, ("asked", 2), ("renew", 2)]


async def test_while_our_lease_is_over_nothing_is_taken_of_a_shard_but_its_ask(rig: Rig):
    """Whatever it is, it is dropped and counted; once its owner has asked all passes again."""
    rig.lease.lapses(10.0)
    position = Position("e", 1)
    await rig.send(
        rig.deliver(1),
        envelope.Ack("g~1", "x", "m", "e", 1, 1),
        envelope.Joined("g~1", "x", position, False, term=1, ref="j2"),
        envelope.Resync("x", position, 1),
        envelope.Ask("r", shard_of("x", SHARDS), 1, 1),
    )
    await eventually(lambda: ("asked", shard_of("x", SHARDS)) in rig.events)
    assert (rig.told(), rig.hub.position("x")) == ([], Position("e", 0))
    assert b'drops_total{reason="suspended"} 4.0' in rig.metrics.render()[0]
    rig.lease.renew(10.0, 10.0)
    rig.lease.asked(shard_of("x", SHARDS))
    await rig.send(rig.deliver(1))
    await eventually(lambda: rig.told() == [("CHAT", 1)])


async def test_a_new_queue_is_news_for_everyone(rig: Rig):
    """Each time the queue is consumed anew, under a new name, all is announced and all pending joins are asked for again."""
    first = rig.downlink._subscription.queue
    assert rig.events == ["returned", ("asked", None)]
    rig.broker.cut(rig.bus)
    assert not rig.downlink.active
    rig.broker.restore(rig.bus)
    await eventually(lambda: rig.downlink.active)
    assert rig.downlink._subscription.queue != first
    assert rig.events == ["returned", ("asked", None)] * 2


async def test_what_is_for_nobody_here_is_dropped(rig: Rig):
    """Messages for rooms without members here, answers for connections that have gone, and misplaced kinds do nothing."""
    await rig.send(
        rig.deliver(1, room="elsewhere"),
        envelope.Joined("g~99", "x", Position("e", 0), False, term=1),
        envelope.Refused("g~99", "m", "forbidden", "no"),
        envelope.Heartbeat("h", 1),
        rig.deliver(1),
    )
    await eventually(lambda: rig.told() == [("CHAT", 1)])
    assert b'drops_total{reason="misplaced"} 1.0' in rig.metrics.render()[0]


async def test_expired_messages_count_for_the_seq(rig: Rig):
    """A message that has expired is not delivered, and its seq makes no gap."""
    await rig.send(rig.deliver(1, expires_ms=1), rig.deliver(2))
    await eventually(lambda: rig.told())
    assert rig.told() == [("CHAT", 2)]
    assert b'drops_total{reason="expired"} 1.0' in rig.metrics.render()[0]


async def test_what_comes_behind_a_gap_waits_and_the_gap_is_asked_for(rig: Rig):
    """Nothing is shown out of order; once the missing ones have come all goes on."""
    await rig.send(rig.deliver(1), rig.deliver(4))
    await eventually(lambda: ("gaps", {"x"}) in rig.events)
    assert rig.told() == [("CHAT", 1)]
    assert b'drops_total{reason="early"} 1.0' in rig.metrics.render()[0]
    await rig.send(rig.deliver(2), rig.deliver(3), rig.deliver(4))
    await eventually(lambda: rig.told() == [("CHAT", seq) for seq in range(1, 5)])


async def test_a_resync_is_told_before_what_comes_after_it(rig: Rig):
    """JOINED with recovered false at its position; the next message follows that."""
    await rig.send(rig.deliver(1), envelope.Resync("x", Position("f", 7), 1), rig.deliver(8, epoch="f"))
    await eventually(lambda: len(rig.told()) == 3)
    joined = {"epoch": "f", "seq": 7, "recovered": False, "missed": 0}
    assert rig.told() == [("CHAT", 1), ("JOINED", joined), ("CHAT", 8)]


async def test_who_catches_up_is_told_and_given_what_it_missed(rig: Rig):
    """JOINED with the position it came with, then the missed ones, then what is live."""
    rig.connection.do(rig.connection.session.receive('{"type":"JOIN","room":"y","id":"j9"}', 1.0, 1))
    await rig.send(
        envelope.Joined("g~1", "y", Position("e", 3), True, 2, "j9", 1),
        *(rig.deliver(seq, room="y", to="g~1") for seq in (4, 5)),
        rig.deliver(6, room="y"),
    )
    await eventually(lambda: len(rig.told()) == 4)
    joined = {"epoch": "e", "seq": 3, "recovered": True, "missed": 2}
    assert rig.told() == [("JOINED", joined), ("CHAT", 4), ("CHAT", 5), ("CHAT", 6)]


async def test_what_a_member_is_given_to_catch_up_is_charged_to_it(rig: Rig):
    """Those messages alone, not what is live."""
    charged: list[int] = []
    rig.connection._reads = SimpleNamespace(  # type: ignore[assignment]
        answered=lambda ref, now, room: None, came=lambda size, now: charged.append(size)
    )
    rig.connection.do(rig.connection.session.receive('{"type":"JOIN","room":"y","id":"j9"}', 1.0, 1))
    await rig.send(
        envelope.Joined("g~1", "y", Position("e", 3), True, 1, "j9", 1),
        rig.deliver(4, room="y", to="g~1", payload=b'"' + b"x" * 4_998 + b'"'),
        rig.deliver(5, room="y", payload=b'"' + b"x" * 4_998 + b'"'),
    )
    await eventually(lambda: len(rig.told()) == 3)
    assert charged == [5_000 + envelope.OVERHEAD_BYTES]


async def test_a_joined_that_nobody_asked_for_counts_only_in_a_new_life(rig: Rig):
    """In the life that is known it says nothing new; in another one all members here hear of it."""
    await rig.send(
        rig.deliver(1),
        envelope.Joined("g~1", "x", Position("e", 9), False, term=1),
        rig.deliver(2),
        envelope.Joined("g~1", "x", Position("f", 0), False, term=1),
        rig.deliver(1, epoch="f"),
    )
    await eventually(lambda: len(rig.told()) == 4)
    assert [kind for kind, _ in rig.told()] == ["CHAT", "CHAT", "JOINED", "CHAT"]


async def test_latency_and_counts_are_measured(rig: Rig):
    """Each message's way from its entry to its members is measured, and messages out are counted by recipient."""
    await rig.send(rig.deliver(1), rig.deliver(2))
    await eventually(lambda: len(rig.told()) == 2)
    exposition = rig.metrics.render()[0]
    assert b'hop_seconds_sum{hop="end_to_end"} 2.0' in exposition
    assert b'messages_out_total{type="CHAT"} 2.0' in exposition
