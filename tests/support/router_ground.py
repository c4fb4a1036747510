"""What the tests of possessions, workers, seats and the inbox stand on."""

from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core.gateways import Gateways
from router.core.limits import ShardLimits
from router.core.placement import Place
from router.core.routers import Routers
from router.core.takeover import TakeoverLimits
from router.shell.ground import Ground, Turns
from router.shell.steady import Steady
from warren.envelope import RouterHeartbeat
from warren.metrics import RouterMetrics
from warren.namespaces import Namespaces
from warren.topology import Topology


def ground(*, bus=None, clock=None, gateways=None, place=None, routers=("r1", "r2"), shards=1, **more):
    """Return the ground of router r1, the owner of every shard; ``place`` is a list whose last entry counts."""
    bus = bus or ScriptedBus()
    places = place if place is not None else [Place("r1", "r2")]
    living = Routers(1.5)
    for router in routers:
        living.heartbeat(RouterHeartbeat(router, 1), 0.0)
    return Ground(
        router="r1",
        topology=Topology(shards=shards),
        bus=bus,
        steady=Steady(bus),
        clock=clock or ManualClock(),
        gateways=gateways or Gateways(5.0),
        routers=living,
        metrics=RouterMetrics(CollectorRegistry()),
        namespaces=Namespaces(),
        place=lambda _: places[-1],
        shard_limits=ShardLimits(),
        takeover_limits=TakeoverLimits(listen_s=1.0, ask_again_s=1.0, claim_again_s=1.0, yield_s=1.5),
        turns=Turns(2),
        **{"listening_s": lambda: 10.0, "events": frozenset({"client", "room"}), "window": 8} | more,
    )
