"""InstallationStatistics: the installation in figures."""

from types import SimpleNamespace

from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.gateway_leases import GatewayLeases
from router.core.room_members import RoomMembers
from router.shell.installation_statistics import InstallationStatistics
from warren.envelope import Heartbeat


async def test_it_sums_the_gateways_and_says_what_this_router_speaks_for():
    """Each gateway's own figures, their sums, and the shards, rooms and members that this router speaks
    for.
    """
    clock, gateways = ManualClock(), GatewayLeases(5.0)
    rooms = RoomMembers()
    rooms.join("a", "g1", "g1~1", "u")
    rooms.join("a", "g1", "g1~2", "u")
    shards = SimpleNamespace(speaking=[SimpleNamespace(number=3, fold=SimpleNamespace(rooms=rooms))])
    context = router_context(ScriptedBus(), clock=clock)
    statistics = InstallationStatistics(context, gateways, shards)
    started = clock.wall_us() - 5_000_000
    gateways.heartbeat(Heartbeat("g1", started, 1, 2, 3, 4, 5), 0.0)
    gateways.heartbeat(Heartbeat("g2", started, 10, 20, 30, 40, 50), 0.0)
    clock.advance(2.5)
    figures = statistics.figures()
    assert (figures["connections"], figures["errors"], figures["memory"], figures["uptime"]) == (
        11,
        44,
        55,
        2.5,
    )
    assert figures["messages"] == {"in": 22, "out": 33}
    assert figures["gateways"][0] == {
        "id": "g1",
        "connections": 1,
        "messages": {"in": 2, "out": 3},
        "errors": 4,
        "memory": 5,
        "uptime": 7.5,
    }
    assert figures["router"] == {"id": "r1", "shards": [3], "rooms": 1, "members": 2}
