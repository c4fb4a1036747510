"""What routers say ▶ the connections here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.scripted_bus import ManualClock
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub
from gateway.core.inputs import TokenAccepted
from gateway.core.permissions import Identity
from gateway.shell.downlink import Downlink
from warren import envelope
from warren.metrics import GatewayMetrics
from warren.position import Position
from warren.telemetry import Tracing

SHARD = 3


class Rig:
    """A downlink with one connection that is a member of ``x``."""

    def __init__(self, outbox: OutboxLimits | None = None) -> None:
        self.hub, self.metrics = Hub(), GatewayMetrics()
        self.read: list[Any] = []  # what the room reads were told
        reads = SimpleNamespace(
            entered=lambda item, shard: self.read.append((item, shard)),
            behind=lambda gaps, shard: self.read.append(([gap.room for gap in gaps], shard)),
            page=self.read.append,
            history_page=self.read.append,
            renew=self.read.append,
        )
        self.downlink = Downlink(
            self.hub, reads, Tracing("gateway"), ManualClock(5_000_000, now=1.0), self.metrics
        )  # type: ignore[arg-type]
        rig = ConnectionRig(outbox=outbox)
        object.__setattr__(rig.connection._context, "hub", self.hub)
        rig.connection.put(TokenAccepted(Identity("ann")))
        rig.transport.written.clear()
        self.connection, self.transport = rig.connection, rig.transport
        self.hub.join("x", "g~1", Position("e", 0))

    def give_out(self, *items: envelope.Item) -> list[tuple[str, Any]]:
        """Give these out; return what the client has been told so far."""
        self.downlink.give_out(items, SHARD)
        return [(said["type"], said.get("seq", said["payload"])) for said in self.transport.messages()]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"warren_gateway_{name}", labels) or 0.0


def message(seq: int, room: str = "x", **more: Any) -> envelope.Deliver:
    return envelope.Deliver(room, "e", seq, "CHAT", b"%d" % seq, 4_000_000, **more)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_messages_and_answers_keep_their_order(rig: Rig):
    """Mixed as they come."""
    refused = envelope.Refused("g~1", "m", "internal", "no")
    told = rig.give_out(message(1), message(2), refused, message(3))
    assert [kind for kind, _ in told] == ["CHAT", "CHAT", "ERROR", "CHAT"]


def test_acks_do_not_part_a_burst(rig: Rig):
    """ACKs between messages come behind them, in their order and in the same write."""
    acks = [envelope.Ack("g~1", "x", f"m{number}", "e", number) for number in (1, 2)]
    told = rig.give_out(message(1), acks[0], message(2), acks[1], message(3))
    assert told == [("CHAT", number) for number in (1, 2, 3)] + [
        ("ACK", {"seq": number, "epoch": "e"}) for number in (1, 2)
    ]
    assert rig.transport.written[0].count(b"CHAT") == 3  # joined once for all members


def test_what_backends_want_of_a_connection_comes_at_its_place(rig: Rig):
    """Behind the messages before it, and each to whom it is for."""
    told = rig.give_out(
        message(1),
        envelope.Enrolled("g~9", ("y",)),
        envelope.Dismissed("g~1", 4006, "Bye"),
        message(2),
    )
    assert told[:2] == [("CHAT", 1), ("ERROR", told[1][1])]
    assert (told[1][1]["message"], rig.transport.close_code) == ("Bye", 4006)
    assert len(told) == 2


def test_revoked_tokens_are_told_to_all_of_the_users_connections(rig: Rig):
    """In whatever rooms they are; another user's hear nothing."""
    assert rig.give_out(envelope.TokensRevoked("bob", "", 99)) == []
    rig.hub.leave("x", "g~1")
    ((kind, said),) = rig.give_out(envelope.TokensRevoked("ann", "", 99))
    assert (kind, said["code"], rig.transport.close_code) == ("ERROR", "unauthorized", 4001)


def test_who_enters_does_so_at_its_place_in_the_chain_of_its_shard(rig: Rig):
    """What came before it has been given out by then."""
    entered = envelope.Entered("g~1", "y", Position("e", 3), "j9")
    assert rig.give_out(message(1), entered, message(2)) == [("CHAT", 1), ("CHAT", 2)]
    assert rig.read == [(entered, SHARD)]


def test_a_hole_in_a_room_is_caught_up(rig: Rig):
    """Behind a Reset the room goes on, and its members catch up by reads of that shard."""
    assert rig.give_out(message(1), message(4)) == [("CHAT", 1)]
    assert rig.read == [(["x"], SHARD)]


def test_what_is_for_nobody_here_is_dropped(rig: Rig):
    """Messages of rooms without members here, and answers for connections that have gone."""
    gone = (envelope.Refused("g~99", "m", "internal", "no"), envelope.Ack("g~99", "x", "m", "e", 1))
    assert rig.give_out(message(1, "elsewhere"), *gone, message(1)) == [("CHAT", 1)]


def test_what_is_no_part_of_the_chain_is_passed_on(rig: Rig):
    """Answers of reads, and that another router speaks."""
    page = envelope.Page("x", "e", 0, (), whole=True, kept=False, ref=1)
    history = envelope.HistoryPage("g~1", "x", "h", (), more=False)
    rig.downlink.page(page)
    rig.downlink.history_page(history)
    rig.downlink.renew_reads(2)
    assert rig.read == [page, history, 2]


def test_expired_messages_count_for_the_seq(rig: Rig):
    """A message that has expired is not delivered, and its seq makes no gap."""
    assert rig.give_out(message(1, expires_ms=1), message(2)) == [("CHAT", 2)]
    assert rig.count("drops_total", reason="expired") == 1


def test_who_reads_too_slowly_is_closed():
    """Where a room must not lose messages."""
    rig = Rig(OutboxLimits(2, 10_000, 5_000))
    rig.transport.paused = True
    for seq in range(1, 5):
        rig.give_out(message(seq))
    assert rig.transport.closed == (4005, "Too slow")
    assert rig.hub.connections == 0


def test_latency_and_counts_are_measured(rig: Rig):
    """Each message's way from its entry to its members, and messages out by recipient."""
    rig.give_out(message(1), message(2))
    assert rig.count("hop_seconds_sum", hop="end_to_end") == 2
    assert rig.count("messages_out_total", type="CHAT") == 2
    assert rig.metrics.lag.take() == 1_000
