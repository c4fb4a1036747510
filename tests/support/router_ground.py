"""What the tests of possessions, workers and the inbox stand on."""

from prometheus_client import CollectorRegistry
from tests.support.scripted_bus import ManualClock

from router.core.gateways import Gateways
from router.core.shard import ShardLimits
from router.core.takeover import TakeoverLimits
from router.shell.possession import Ground
from warren.metrics import RouterMetrics


def ground(*, clock=None, gateways=None, listening_s=lambda: 10.0, shards=1):
    return Ground(
        router="r1",
        shards=shards,
        clock=clock or ManualClock(),
        gateways=gateways or Gateways(5.0),
        metrics=RouterMetrics(CollectorRegistry()),
        listening_s=listening_s,
        shard_limits=ShardLimits(),
        takeover_limits=TakeoverLimits(listen_s=1.0, ask_timeout_s=3.0),
    )
