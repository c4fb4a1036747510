"""Gauges: the figures of the moment."""

from types import SimpleNamespace

import pytest
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.core.peers import Peers, PeerTimes
from router.core.presence import Presence
from router.core.room_members import RoomMembers
from router.shell.gauges import Gauges
from warren.envelope import Heartbeat
from warren.log_entries import PRESENCE_USERS


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        rooms = RoomMembers()
        for number in (1, 2):
            rooms.join("a", "g1", f"g1~{number}", "u")
        presence, watchers = Presence(), RoomMembers({"a": {"g1": {"g1~3": "u"}}})
        presence.came("a", "g1~1", "u", PRESENCE_USERS, b"", 1)
        fold = SimpleNamespace(rooms=rooms, presence=presence, watchers=watchers)
        speaking = [SimpleNamespace(fold=fold)]
        self.shards = SimpleNamespace(speaking=speaking, waiting=7)
        self.context = router_context(self.bus)
        self.peers = Peers("r1", PeerTimes())
        self.gauges = Gauges(self.context, self.peers, self.shards)

    def value(self, name, **labels):
        return self.context.metrics.registry.get_sample_value(f"warren_router_{name}", labels)


def test_they_count_what_this_router_speaks_for_and_who_lives():
    """As of the last tick."""
    harness = Harness()
    assert (harness.value("shards_active"), harness.value("rooms"), harness.value("members")) == (1, 1, 2)
    assert (harness.value("presence_connections"), harness.value("presence_watchers")) == (1, 1)
    assert (harness.value("bus_up"), harness.value("gateways")) == (1, 0)
    harness.peers.gateways.heartbeat(Heartbeat("g1", 1, uplink_bytes=5), 0.0)
    harness.bus.up = False
    harness.gauges.tick()
    assert (harness.value("bus_up"), harness.value("gateways"), harness.value("uplink_bytes")) == (0, 1, 5)


def test_a_broker_that_holds_publishers_back_is_told_at_once(caplog: pytest.LogCaptureFixture):
    """And so is its end."""
    harness = Harness()
    (listener,) = harness.bus.blocked_listeners
    listener(True)
    assert harness.value("bus_blocked") == 1
    listener(False)
    assert harness.value("bus_blocked") == 0
    assert [record.message for record in caplog.records if record.message.startswith("bus_")][:1] == [
        "bus_blocked"
    ]


def test_logs_that_are_too_small_for_the_gateways_are_warned_of_once(caplog: pytest.LogCaptureFixture):
    """With what to do about it."""
    harness = Harness()
    kept = harness.context.topology.limits.kept_bytes
    harness.peers.gateways.heartbeat(Heartbeat("g1", 1, uplink_bytes=kept + 1), 0.0)
    harness.gauges.tick()
    harness.gauges.tick()
    assert [record.message for record in caplog.records].count("log_too_small") == 1
