"""From the gateway's own queue to outboxes and sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
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


class Rig:
    """A downlink on a memory bus, with one connection that is a member of ``x``."""

    def __init__(self) -> None:
        self.topology = Topology(shards=SHARDS)
        self.broker = MemoryBroker()
        self.bus = MemoryBus(self.broker, self.topology)
        self.sender = MemoryBus(self.broker, self.topology)
        self.hub, self.metrics = Hub(SHARDS), GatewayMetrics()
        self.events: list[Any] = []
        self.news = True
        announcer = SimpleNamespace(
            returned=lambda: self.events.append("returned"), answer=lambda ask: self.events.append(ask) or self.news
        )
        uplink = SimpleNamespace(answered=lambda conn, ref: self.events.append(("answered", conn, ref)))
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
            on_new_term=lambda shard: self.events.append(("term", shard)),
        )
        self.wire = self._connect().wire
        self.hub.join("x", "g~1", Position("e", 0))

    def _connect(self) -> Connection:
        rig = ConnectionRig()
        around = rig.connection._around
        object.__setattr__(around, "hub", self.hub)
        rig.connection._identify(around.authenticator.guest("ann"))
        rig.connection.session._rooms["x"] = None
        rig.wire.written.clear()
        return rig.connection

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
    ack = envelope.Ack("g~1", "x", "m", "e", 2, 1)
    await rig.send(rig.deliver(1), rig.deliver(2), ack, rig.deliver(3))
    await eventually(lambda: len(rig.told()) == 4)
    assert rig.told() == [("CHAT", 1), ("CHAT", 2), ("ACK", {"seq": 2, "epoch": "e"}), ("CHAT", 3)]
    assert ("answered", "g~1", "m") in rig.events


async def test_an_older_term_says_nothing_any_more(rig: Rig):
    """Answers and messages of an older term are dropped and counted, those of a newer one pass."""
    rig.hub.fence(shard_of("x", SHARDS), 5)
    old = envelope.Ack("g~1", "x", "m", "e", 1, 4)
    await rig.send(old, rig.deliver(1, term=4), envelope.Ack("g~1", "x", "n", "e", 1, 6))
    await eventually(lambda: rig.told())
    assert rig.told() == [("ACK", {"seq": 1, "epoch": "e"})]
    assert b'drops_total{reason="fenced"} 2.0' in rig.metrics.render()[0]


async def test_asks_go_to_the_announcer_and_new_terms_are_news(rig: Rig):
    """An Ask is handed on; where its term is news the shard's pending joins are asked for again."""
    ask = envelope.Ask("r", 2, 7, 1)
    await rig.send(ask)
    await eventually(lambda: ask in rig.events)
    assert ("term", 2) in rig.events
    rig.news = False
    await rig.send(envelope.Ask("r", 3, 7, 2))
    await eventually(lambda: rig.events[-1] == envelope.Ask("r", 3, 7, 2))
    assert ("term", 3) not in rig.events


async def test_a_new_queue_is_news_for_everyone(rig: Rig):
    """Each time the queue is consumed anew, under a new name, all is announced and all pending joins are asked for again."""
    first = rig.downlink._subscription.queue
    assert rig.events == ["returned", ("term", None)]
    rig.broker.cut(rig.bus)
    assert not rig.downlink.active
    rig.broker.restore(rig.bus)
    await eventually(lambda: rig.downlink.active)
    assert rig.downlink._subscription.queue != first
    assert rig.events == ["returned", ("term", None)] * 2


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


async def test_a_gap_is_told_after_what_came(rig: Rig):
    """Where a seq jumps the members hear that they are not whole, and from where to go on."""
    await rig.send(rig.deliver(1), rig.deliver(4), rig.deliver(5))
    await eventually(lambda: len(rig.told()) == 4)
    assert rig.told()[-1] == ("JOINED", {"epoch": "e", "seq": 5, "recovered": False, "missed": 0})


async def test_latency_and_counts_are_measured(rig: Rig):
    """Each message's way from its entry to its members is measured, and messages out are counted by recipient."""
    await rig.send(rig.deliver(1), rig.deliver(2))
    await eventually(lambda: len(rig.told()) == 2)
    exposition = rig.metrics.render()[0]
    assert b'hop_seconds_sum{hop="end_to_end"} 2.0' in exposition
    assert b'messages_out_total{type="CHAT"} 2.0' in exposition
