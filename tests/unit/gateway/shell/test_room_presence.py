"""What clients are told of presence, carried out."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from tests.support.scripted_bus import ManualClock
from tests.unit.gateway.shell.test_connection import Rig as ConnectionRig

from gateway.core.client_limits import OutboxLimits
from gateway.core.hub import Hub
from gateway.core.inputs import TokenAccepted
from gateway.core.permissions import Identity
from gateway.core.presence_watchers import BEHIND_S, PresenceWatchers
from gateway.core.seen_reports import EVERY_S
from gateway.shell.room_presence import RoomPresence
from warren import envelope
from warren.metrics import GatewayMetrics

ANN = envelope.PresenceMember("ann", "ann", b'{"n":1}', 7)


class Rig:
    """The presence of rooms, with one connection."""

    def __init__(self, outbox: OutboxLimits | None = None) -> None:
        self.clock, self.metrics = ManualClock(5_000_000, now=1.0), GatewayMetrics()
        self.up: list[tuple[envelope.Watch | envelope.Inform, int]] = []
        self.takes = True
        self.asked: list[tuple[int, envelope.PresenceQuery]] = []
        rig = ConnectionRig(outbox=outbox)
        self.hub, self.transport, self.connection = rig.hub, rig.transport, rig.connection
        watchers = PresenceWatchers("g", self.hub.is_here)
        watchers.learn(2)
        self.presence = RoomPresence(
            watchers,
            self.hub,
            SimpleNamespace(tell=self._tell),  # type: ignore[arg-type]
            SimpleNamespace(ask=lambda shard, what: self.asked.append((shard, what))),  # type: ignore[arg-type]
            self.clock,
            self.metrics,
        )
        self.connection.put(TokenAccepted(Identity("ann")))
        self.transport.written.clear()

    def _tell(self, up: envelope.Watch | envelope.Inform, shard: int) -> bool:
        self.up.append((up, shard))
        return self.takes

    def watch(self, room: str = "r", *, contact: bool = False) -> bool:
        return self.presence.watch(room, 2, "g~1", contact=contact)

    def heard(self) -> list[dict[str, Any]]:
        self.transport.flush()
        found = self.transport.messages()
        self.transport.written.clear()
        return found

    def drops(self, reason: str) -> bool:
        return f'drops_total{{reason="{reason}"}} 1.0'.encode() in self.metrics.render()[0]


def test_a_diff_is_one_frame_for_each_watcher():
    """A PRESENCE of the room, with the time at which it was passed on."""
    rig = Rig()
    assert rig.watch()
    assert rig.up == [(envelope.Watch("r", "g~1", "", True), 2)]
    rig.presence.diff(envelope.PresenceDiff("r", 10, 1, 1, 7, joined=(ANN,)))
    (message,) = rig.heard()
    assert (message["type"], message["room"], message["timestamp"]) == ("PRESENCE", "r", 5_000)
    assert message["payload"]["joined"] == [{"user": "ann", "info": {"n": 1}, "proof": "0000000000000007"}]
    assert b'messages_out_total{type="PRESENCE"} 1.0' in rig.metrics.render()[0]


def test_what_nobody_watches_is_counted():
    """It was on its way when the last one stopped."""
    rig = Rig()
    rig.watch()
    rig.presence.unwatch("r", "g~1", contact=False)
    assert rig.up[-1] == (envelope.Watch("r", "g~1", "", False), 2)
    rig.presence.diff(envelope.PresenceDiff("r", 10, 1, 1, 7))
    assert rig.heard() == []
    assert rig.drops("presence_unwatched")


def test_where_there_is_no_place_nothing_is_watched():
    """The connection had better go; nothing is kept of it."""
    rig = Rig()
    rig.takes = False
    assert not rig.watch()
    rig.presence.diff(envelope.PresenceDiff("r", 10, 1, 1, 7))
    assert rig.drops("presence_unwatched")
    assert not rig.presence.inform(envelope.Inform("r", "g~1", b"1"), 2)


def test_a_question_goes_to_the_router_and_its_answer_to_the_connection():
    """Through its session, which knows whether it still waits."""
    rig = Rig()
    rig.connection.session._presences()._open["r", "p"] = None
    rig.presence.ask(envelope.PresenceQuery("r", "g~1", "p"), 2)
    ((shard, asked),) = rig.asked
    assert shard == 2
    rig.presence.page(envelope.PresencePage(asked.conn, "r", asked.ref, 10, 1, 1, 7, (ANN,)))
    (message,) = rig.heard()
    assert (message["ref"], message["payload"]["page"]) == ("p", True)
    assert b'reads_total{source="routers"} 1.0' in rig.metrics.render()[0]


def test_a_question_is_asked_again():
    """In its time, and at once where another router speaks."""
    rig = Rig()
    rig.presence.ask(envelope.PresenceQuery("r", "g~1", "p"), 2)
    rig.presence.tick(1.6)
    rig.presence.renew(2)
    assert len(rig.asked) == 3


def test_a_slow_reader_is_told_later_what_there_is():
    """A frame that it had no place for is not kept for it."""
    rig = Rig(OutboxLimits(count=100, bytes=1_000, soft_bytes=10))
    rig.watch()
    rig.transport.paused = True
    rig.connection.outbox.put(b"x" * 100)
    rig.presence.diff(envelope.PresenceDiff("r", 10, 1, 1, 7, joined=(ANN,)))
    assert rig.drops("ephemeral")
    rig.transport.paused = False
    rig.transport.flush()
    rig.transport.written.clear()
    rig.presence.tick(1.0 + BEHIND_S)
    (message,) = rig.heard()
    assert message["payload"] == {
        "version": 10,
        "count": {"users": 1, "connections": 1},
        "digest": "0000000000000007",
    }


def test_a_new_life_says_again_what_is_watched():
    """In the slices that whoever calls asks for; then how the rooms stand is asked."""
    rig = Rig()
    rig.watch()
    rig.watch("@bob", contact=True)
    watches = rig.presence.watches(2)
    rig.up.clear()
    rig.presence.watch_again(watches, 2)
    assert [up.room for up, _ in rig.up] == ["r", "@bob"]
    rig.presence.doubt(2)
    rig.presence.tick(1.0)
    assert [asked.count for _, asked in rig.asked] == [True, True]


def test_what_is_watched_and_asked_can_be_seen():
    """Buffers have gauges."""
    rig = Rig()
    rig.watch()
    rig.presence.ask(envelope.PresenceQuery("r", "g~1", "p"), 2)
    shown = rig.metrics.render()[0].decode()
    assert 'waiting{buffer="watched_rooms"} 1.0' in shown
    assert 'waiting{buffer="presence_reads"} 1.0' in shown


def test_everyone_gets_the_same_bytes():
    """A thousand watchers are a thousand puts of one object."""
    rig = Rig()
    hub = Hub()
    rigs = [ConnectionRig() for _ in range(3)]
    for number, other in enumerate(rigs, 1):
        other.connection.id = f"g~{number}"
        other.transport.paused = True
        hub.add(other.connection)
    hub.tell([f"g~{number}" for number in range(1, 5)], envelope.Deliver("r", "", 0, "PRESENCE", b"{}", 1))
    chunks = [chunk for other in rigs for chunk in other.connection.outbox.chunks()]
    assert len(chunks) == 3
    assert len({id(chunk) for chunk in chunks}) == 1
    assert json.loads(chunks[0][2:])["type"] == "PRESENCE"
    assert rig.heard() == []


def seen(seq: int, room: str = "r") -> envelope.Seen:
    return envelope.Seen(room, "g~1", "e", seq)


def test_what_is_seen_goes_up_at_once_and_then_seldom():
    """The last word is not lost, also where there was no place for it."""
    rig = Rig()
    rig.presence.saw(seen(1), 2)
    rig.presence.saw(seen(2), 2)
    assert rig.up == [(seen(1), 2)]
    rig.takes = False
    rig.clock.advance(EVERY_S)
    rig.presence.tick(rig.clock.monotonic())
    rig.takes = True
    rig.clock.advance(EVERY_S)
    rig.presence.tick(rig.clock.monotonic())
    assert rig.up == [(seen(1), 2), (seen(2), 2), (seen(2), 2)]


def test_who_leaves_a_room_says_before_what_it_has_seen_there():
    """And a new life on the shard hears it again while the connection is there."""
    rig = Rig()
    rig.presence.saw(seen(1), 2)
    rig.clock.advance(EVERY_S)
    rig.presence.report_again(2)
    assert rig.up == [(seen(1), 2), (seen(1), 2)]
    rig.presence.saw(seen(2), 2)
    rig.presence.left("r", "g~1")
    assert rig.up[2:] == [(seen(2), 2)]
    rig.presence.report_again(2)
    rig.presence.left("r", "g~1")
    assert len(rig.up) == 3


def test_nothing_of_it_is_written_before_routers_can_read_it():
    """A question of presence finds that out, also where nobody watches a room."""
    rig = Rig()
    rig.presence.saw(seen(1), 3)
    rig.presence.tick(rig.clock.monotonic())
    assert rig.up == []
    ((shard, query),) = rig.asked
    assert (shard, query.room, query.count) == (3, "r", True)
    rig.presence.page(envelope.PresencePage(query.conn, "r", query.ref, 1, 0, 0, 0))
    assert rig.up == [(seen(1), 3)]
