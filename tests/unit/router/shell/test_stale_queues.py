"""StaleQueues: the own queue of whoever died gets nothing more."""

import pytest
from tests.support.eventually import eventually
from tests.support.scripted_bus import ScriptedBus

from router.shell import stale_queues as module
from router.shell.stale_queues import StaleQueues
from warren.errors import BusUnavailable
from warren.topology import Topology

TOPOLOGY = Topology(shards=1)


def queue_of(name):
    return TOPOLOGY.gateway_queue(name, "n")[0].name


@pytest.fixture
async def stand(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    bus = ScriptedBus()
    stale_queues = StaleQueues(bus, TOPOLOGY)
    yield bus, stale_queues
    await stale_queues.close()


async def test_the_door_of_the_dead_is_closed(stand):
    """The last queue that a process named is retired when it is gone, once; that of a living one stays."""
    bus, stale_queues = stand
    stale_queues.seen("g1", queue_of("first"))
    stale_queues.seen("g1", queue_of("second"))
    stale_queues.seen("g2", queue_of("living"))
    stale_queues.gone("g1")
    stale_queues.gone("g1")
    await eventually(lambda: not stale_queues.waiting)
    assert bus.retired == [queue_of("second")]


async def test_who_left_in_order_has_no_door_left(stand):
    """Nothing is kept of it, and nothing is retired should it be given up later."""
    bus, stale_queues = stand
    stale_queues.seen("g1", queue_of("g1"))
    stale_queues.left("g1")
    stale_queues.left("unknown")
    stale_queues.gone("g1")
    assert (stale_queues.waiting, bus.retired, stale_queues._known) == (0, [], {})


async def test_it_tries_until_the_broker_has_done_it(stand):
    """While the broker is away a guard exchange waits, and those behind it."""
    bus, stale_queues = stand
    bus.retiring.extend([BusUnavailable("away"), BusUnavailable("away")])
    for name in ("g1", "g2"):
        stale_queues.seen(name, queue_of(name))
        stale_queues.gone(name)
    await eventually(lambda: bus.retired == [queue_of("g1"), queue_of("g2")])


@pytest.mark.parametrize("name", ["", "warren.egress", "amq.direct", "other.gateway.g.n"])
async def test_what_is_no_door_is_never_touched(stand, name):
    """Whatever a heartbeat says, only a gateway's or router's own queue of this installation is retired."""
    bus, stale_queues = stand
    stale_queues.seen("g1", name)
    stale_queues.gone("g1")
    assert (stale_queues.waiting, bus.retired) == (0, [])


async def test_what_waits_is_bounded(stand, monkeypatch):
    """Beyond the limit the eldest is given up."""
    monkeypatch.setattr(module, "MOST", 2)
    bus, stale_queues = stand
    for name in ("g1", "g2", "g3"):
        stale_queues.seen(name, queue_of(name))
        stale_queues.gone(name)
    assert stale_queues.waiting == 2
    await eventually(lambda: not stale_queues.waiting)
    assert bus.retired == [queue_of("g2"), queue_of("g3")]
