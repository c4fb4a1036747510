"""What is missing is asked for until it has come."""

from __future__ import annotations

from gateway.core.frames import JSON
from gateway.core.hub import Hub, Member
from gateway.core.outbox import Outbox
from gateway.shell.gaps import AGAIN_S, Gaps
from warren import envelope
from warren.address import shard_of
from warren.envelope import Deliver
from warren.metrics import GatewayMetrics
from warren.position import Position

SHARDS = 4
START = Position("e", 10)


class Rig:
    """A hub with two members of ``r``, and what was asked for."""

    def __init__(self) -> None:
        self.hub, self.metrics = Hub(SHARDS), GatewayMetrics()
        self.resumed: list[envelope.Resume] = []
        self.again: list[tuple[str, str, Position]] = []
        self.has_place = True
        self.gaps = Gaps("g", SHARDS, self.hub, self, self.metrics, lambda *asked: self.again.append(asked))
        for conn in ("g~1", "g~2"):
            self.hub.add(Member(conn, "u", JSON, Outbox()))
            self.hub.join("r", conn, START)

    def resume(self, up: envelope.Resume) -> bool:
        if self.has_place:
            self.resumed.append(up)
        return self.has_place

    def deliver(self, seq: int, now: float) -> None:
        result = self.hub.deliver([Deliver("r", "e", seq, "CHAT", b"1", 5_000)], 0)
        if result.gaps:
            self.gaps.noticed({gap.room for gap in result.gaps}, now)


def test_a_gap_is_asked_for_at_once_and_then_now_and_then():
    """From where the room stands, until what is missing has come; more messages behind the gap ask for nothing more."""
    rig = Rig()
    for seq in (12, 13, 14):
        rig.deliver(seq, 100.0)
    assert rig.resumed == [envelope.Resume("g", "r", START)]
    rig.gaps.tick(100.0 + AGAIN_S / 2)
    assert len(rig.resumed) == 1
    rig.deliver(11, 101.0)
    rig.gaps.tick(100.0 + AGAIN_S)
    assert rig.resumed[1:] == [envelope.Resume("g", "r", START.next())]
    for seq in (12, 13, 14):
        rig.deliver(seq, 103.0)
    rig.gaps.tick(200.0)
    assert len(rig.resumed) == 2
    assert b'resumes_total{of="room"} 2.0' in rig.metrics.render()[0]
    rig.deliver(16, 201.0)
    assert len(rig.resumed) == 3


def test_who_is_catching_up_is_given_a_moment():
    """Then its connection asks for what has not come, by itself."""
    rig = Rig()
    rig.hub.join("r", "g~2", Position("e", 8), missed=2)
    rig.gaps.tick(100.0)
    assert rig.again == []
    rig.gaps.tick(100.0 + AGAIN_S)
    rig.gaps.tick(100.0 + AGAIN_S)
    assert (rig.again, rig.resumed) == ([("g~2", "r", Position("e", 8))], [])
    for seq in (9, 10):
        rig.hub.deliver([Deliver("r", "e", seq, "CHAT", b"1", 5_000, to="g~2")], 0)
    rig.gaps.tick(200.0)
    assert len(rig.again) == 1


def test_a_new_owner_is_asked_at_once_for_what_members_lack():
    """Of its own shard; what the rooms lack comes with the answer to our announcement."""
    rig = Rig()
    rig.hub.join("r", "g~2", Position("e", 8), missed=2)
    rig.deliver(13, 100.0)
    before = len(rig.resumed)
    rig.again.clear()
    rig.gaps.renew((shard_of("r", SHARDS) + 1) % SHARDS, 100.0)
    assert rig.again == []
    rig.gaps.renew(shard_of("r", SHARDS), 100.0)
    assert (rig.again, len(rig.resumed)) == ([("g~2", "r", Position("e", 8))], before)


def test_where_there_is_no_place_it_is_asked_later():
    """It is not counted as asked."""
    rig = Rig()
    rig.has_place = False
    rig.deliver(12, 100.0)
    rig.has_place = True
    rig.gaps.tick(100.0 + AGAIN_S)
    assert len(rig.resumed) == 1
    assert b'resumes_total{of="room"} 1.0' in rig.metrics.render()[0]
