"""What was said before, from this gateway's memory or from the routers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.scripted_bus import ManualClock
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.hub import Gap, Hub
from gateway.core.inputs import TokenAccepted
from gateway.core.permissions import Identity
from gateway.core.recent_messages import RecentMessages
from gateway.core.room_catch_up import AGAIN_FIRST_S, RoomCatchUp
from gateway.shell.connection import Connection
from gateway.shell.room_reads import AGAIN_S, RoomReads
from warren import envelope
from warren.address import shard_of
from warren.metrics import GatewayMetrics
from warren.namespaces import Namespaces
from warren.position import Position

SHARDS = 4
SHARD = shard_of("x", SHARDS)


class Rig:
    """Room reads with one connection."""

    def __init__(self) -> None:
        self.clock, self.metrics = ManualClock(5_000_000, now=1.0), GatewayMetrics()
        self.asked: list[tuple[int, envelope.Envelope]] = []
        namespaces = Namespaces()
        recent = RecentMessages(namespaces, 1_000_000, 1_000_000)
        self.hub = Hub(recent=recent)
        self.reads = RoomReads(
            self.clock,
            self.metrics,
            self.hub,
            recent,
            RoomCatchUp("g", self.hub, recent, namespaces),
            SimpleNamespace(ask=lambda shard, what: self.asked.append((shard, what))),  # type: ignore[arg-type]
        )
        self.connection = self._connect()
        self.charged: list[int] = []
        self.connection._reads = SimpleNamespace(  # type: ignore[assignment]
            asked=lambda question, now: None,
            answered=lambda *what: None,
            came=lambda size, now: self.charged.append(size),
            close=lambda now: None,
        )

    def _connect(self) -> Connection:
        rig = ConnectionRig()
        self.transport = rig.transport
        context = rig.connection._context
        object.__setattr__(context, "hub", self.hub)
        object.__setattr__(context, "room_reads", self.reads)
        rig.connection.put(TokenAccepted(Identity("ann")))
        rig.transport.written.clear()
        return rig.connection

    def say(self, kind: str, **fields: Any) -> None:
        """Have the client say something."""
        told = ConnectionRig.say(self, kind, **fields)  # type: ignore[arg-type]
        self.connection.put(told)

    def enter(
        self, seq: int, ref: str, since: Position | None = None, room: str = "x", epoch: str = "e"
    ) -> None:
        entered = envelope.Entered("g~1", room, Position(epoch, seq), ref, since)
        self.reads.entered(entered, shard_of(room, SHARDS))

    def deliver(self, *seqs: int) -> None:
        """Deliver messages of ``x`` as the downlink does."""
        gone = self.hub.deliver([message(seq) for seq in seqs], 5_000)
        for member in gone.woken:
            member.flush()
        if gone.gaps:
            self.reads.behind(gone.gaps, SHARD)

    def told(self) -> list[tuple[str, Any]]:
        return [(one["type"], one.get("seq", one["payload"])) for one in self.transport.messages()]

    def count(self, source: str) -> float:
        """Return how many reads there were."""
        value = self.metrics.registry.get_sample_value("warren_gateway_reads_total", {"source": source})
        return value or 0.0


def message(seq: int, size: int = 1) -> envelope.Deliver:
    return envelope.Deliver("x", "e", seq, "CHAT", b"1" * size, 4_000_000)


def page(rig: Rig, *seqs: int, whole: bool = True, kept: bool = True) -> envelope.Page:
    """Return the answer to what was asked last."""
    read = rig.asked[-1][1]
    assert isinstance(read, envelope.Read)
    return envelope.Page(read.room, read.epoch, read.after, tuple(map(message, seqs)), whole, kept, read.ref)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def joined(seq: int, missed: int = 0, *, recovered: bool = True, epoch: str = "e") -> tuple[str, Any]:
    return "JOINED", {"epoch": epoch, "seq": seq, "recovered": recovered, "missed": missed}


def test_who_enters_is_told(rig: Rig):
    """And is a member from then on. Nobody is who does not want to be any more, or whose JOIN was
    answered.
    """
    rig.say("JOIN", room="x", id="j1")
    rig.enter(3, "j1")
    assert rig.told() == [joined(3, recovered=False)]
    rig.deliver(4)
    assert rig.told()[1:] == [("CHAT", 4)]
    rig.enter(4, "j1")
    rig.say("JOIN", room="y", id="j2")
    rig.say("LEAVE", room="y", id="l")
    rig.enter(0, "j2", room="y")
    rig.reads.entered(envelope.Entered("g~99", "x", Position("e", 4), "j"), SHARD)
    assert (len(rig.told()), rig.hub.members("y"), rig.hub.members("x")) == (2, (), ("g~1",))


def test_who_lacks_something_gets_it_from_the_routers(rig: Rig):
    """What it is given is charged to it; it is asked for again until it comes, and at once where another
    router speaks.
    """
    rig.say("JOIN", room="x", id="j1")
    rig.enter(3, "j1", Position("e", 1))
    assert rig.told() == []
    (shard, read) = rig.asked[0]
    assert (shard, read) == (SHARD, envelope.Read("g", SHARD, "x", "e", 1, 3, 1))
    rig.clock.now += AGAIN_FIRST_S
    rig.reads.tick(rig.clock.now)
    rig.reads.renew(SHARD)
    rig.reads.renew((SHARD + 1) % SHARDS)
    assert [what for _, what in rig.asked] == [read] * 3
    rig.reads.page(page(rig, 2, 3))
    assert rig.told() == [joined(1, 2), ("CHAT", 2), ("CHAT", 3)]
    assert rig.charged == [2 * (1 + envelope.OVERHEAD_BYTES)]
    assert (rig.count("memory"), rig.count("routers")) == (0, 3)
    assert rig.metrics.registry.get_sample_value("warren_gateway_messages_out_total", {"type": "CHAT"}) == 2


def test_who_lacks_what_is_known_here_gets_it_at_once(rig: Rig):
    """The routers are asked nothing."""
    rig.say("JOIN", room="x", id="j1")
    rig.enter(1, "j1")
    rig.deliver(2, 3)
    rig.say("JOIN", room="x", id="j2")
    rig.enter(3, "j2", Position("e", 1))
    assert rig.told()[3:] == [joined(1, 2), ("CHAT", 2), ("CHAT", 3)]
    assert (rig.asked, rig.count("memory")) == ([], 1)


def test_what_is_not_to_be_had_is_told(rig: Rig):
    """A JOIN is answered by that; a member that lacks something behind a hole in the chain hears it too."""
    rig.say("JOIN", room="x", id="j1")
    rig.enter(3, "j1", Position("e", 1))
    rig.reads.page(page(rig, kept=False))
    assert rig.told() == [joined(3, recovered=False)]
    rig.deliver(9)
    rig.reads.page(page(rig, kept=False))
    rig.deliver(10)
    assert rig.told()[1:] == [joined(9, recovered=False), ("CHAT", 10)]


def test_a_history_comes_from_memory_or_from_the_routers(rig: Rig):
    """What goes further back than is known here is asked for until it is answered, once."""
    rig.say("JOIN", room="x", id="j1")
    rig.enter(1, "j1")
    rig.deliver(2, 3)
    rig.say("HISTORY", room="x", id="h1", payload={"limit": 1})
    assert [one["seq"] for one in rig.told()[3][1]["messages"]] == [3]
    rig.say("HISTORY", room="x", id="h2", payload={"limit": 3})
    query = envelope.HistoryQuery("x", "g~1", "h2", 0, 3)
    assert rig.asked == [(SHARD, query)]
    rig.reads.tick(rig.clock.now + AGAIN_S - 0.1)
    rig.reads.tick(rig.clock.now + AGAIN_S)
    rig.reads.renew(SHARD)
    assert rig.asked == [(SHARD, query)] * 3
    answer = envelope.HistoryPage("g~1", "x", "h2", (message(1),), more=False)
    assert rig.reads.history_page(answer)
    assert not rig.reads.history_page(answer)
    assert [one["seq"] for one in rig.told()[4][1]["messages"]] == [1]
    rig.reads.tick(rig.clock.now + 10 * AGAIN_S)
    assert len(rig.asked) == 3


def test_a_history_waits_for_the_join_before_it(rig: Rig):
    """A router may not have heard of the member yet."""
    rig.say("JOIN", room="x", id="j1")
    rig.say("HISTORY", room="x", id="h1", payload={"limit": 2})
    rig.reads.tick(rig.clock.now + 10 * AGAIN_S)
    rig.reads.renew(SHARD)
    assert rig.asked == []
    rig.enter(3, "j1")
    assert rig.asked == [(SHARD, envelope.HistoryQuery("x", "g~1", "h1", 0, 2))]


@pytest.mark.parametrize("end", ["leave", "go"])
def test_who_leaves_waits_for_nothing(rig: Rig, end: str):
    """Nothing of it is asked any more, and answers that come late are dropped."""
    rig.say("JOIN", room="x", id="j1")
    rig.enter(3, "j1", Position("e", 1))
    rig.say("HISTORY", room="x", id="h1")
    assert len(rig.asked) == 2
    if end == "leave":
        rig.say("LEAVE", room="x", id="l1")
    else:
        rig.connection.finish()
    rig.reads.tick(rig.clock.now + 10 * AGAIN_S)
    assert len(rig.asked) == 2
    assert not rig.reads.history_page(envelope.HistoryPage("g~1", "x", "h1", (), more=False))
    read = rig.asked[0][1]
    assert isinstance(read, envelope.Read)
    rig.reads.page(envelope.Page("x", "e", 1, (message(2), message(3)), whole=True, kept=True, ref=read.ref))
    assert rig.told() == []


def test_a_gap_of_a_room_without_members_here_asks_nothing(rig: Rig):
    """Nobody lacks anything."""
    rig.reads.behind([Gap("x", Position("e", 1), Position("e", 5))], SHARD)
    assert rig.asked == []


def test_where_everyones_room_stands_is_caught_up_with(rig: Rig):
    """What was said while this gateway was not told comes from the routers; where it is not to be had, each
    is told so.
    """
    news = [envelope.Deliver("*", "e", seq, "NEWS", b"1", 4_000_000) for seq in range(9)]
    rig.enter(7, "~*", room="*")
    assert rig.asked == []
    rig.enter(8, "~*", room="*")
    rig.enter(8, "~*", room="*")
    [(shard, read)] = rig.asked
    assert (shard, read) == (shard_of("*", SHARDS), envelope.Read("g", shard, "*", "e", 7, 8, 1))
    rig.reads.page(envelope.Page("*", "e", 7, (news[8],), whole=True, kept=True, ref=1))
    assert rig.told() == [("NEWS", 8)]
    rig.enter(0, "~*", room="*", epoch="f")
    assert rig.told()[1:] == [joined(0, recovered=False, epoch="f")]
    assert rig.hub.members("*") == ("g~1",)
