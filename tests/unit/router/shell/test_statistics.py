"""Statistics: the installation in figures."""

from tests.support.eventually import eventually
from tests.support.router_ground import ground

from router.shell.possession import Possession
from router.shell.statistics import Statistics
from warren.envelope import Announce, Heartbeat, Members, decode


async def test_it_sums_the_gateways_and_says_what_this_router_owns():
    """Each gateway's own figures, their sums, and the shards, rooms and members of this router."""
    place = ground(routers=("r1",))
    possession = Possession(0, place, lambda: None, lambda: None, lambda: 0)
    statistics = Statistics("r1", place.clock, place.gateways, lambda: [possession])
    started = place.clock.wall_us() - 5_000_000
    place.gateways.heartbeat(Heartbeat("g1", started, 1, 2, 3, 4, 5), 0.0)
    place.gateways.heartbeat(Heartbeat("g2", started, 10, 20, 30, 40, 50), 0.0)
    assert statistics.figures()["router"] == {"id": "r1", "shards": [], "rooms": 0, "members": 0}
    possession.opened(await place.bus.lane(lambda: None))
    possession.consuming()
    (claim,) = await eventually(lambda: [decode(each.body)[0] for each in place.bus.published])
    possession.claimed(claim)
    term = possession.shard.term
    possession.announced(Announce("g1", 0, term, (Members("a", (("g1~1", "u"), ("g1~2", "u"))),), True, 1))
    possession.announced(Announce("g2", 0, term, (), True, 1))
    await eventually(lambda: possession.live)
    place.clock.advance(2.5)
    figures = statistics.figures()
    assert (figures["connections"], figures["errors"], figures["memory"], figures["uptime"]) == (11, 44, 55, 2.5)
    assert figures["messages"] == {"in": 22, "out": 33}
    assert figures["gateways"][0] == {
        "id": "g1",
        "connections": 1,
        "messages": {"in": 2, "out": 3},
        "errors": 4,
        "memory": 5,
        "uptime": 7.5,
    }
    assert figures["router"] == {"id": "r1", "shards": [0], "rooms": 1, "members": 2}
