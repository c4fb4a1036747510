"""MemoryBus where it differs from a broker over the network. (What every bus keeps is in tests/contract.)"""

import asyncio

import pytest
from tests.support.eventually import eventually

from warren.bus import Record, Source
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.errors import BusUnavailable, NotConfirmed, TopologyMismatch
from warren.topology import Topology

TOPOLOGY = Topology(shards=2)


async def started(broker: MemoryBroker, topology: Topology = TOPOLOGY) -> MemoryBus:
    bus = MemoryBus(broker, topology)
    await bus.start()
    return bus


async def test_a_confirm_comes_in_a_later_turn() -> None:
    """A publish is not over in the turn in which it was called, so what comes meanwhile can go as a batch."""
    bus = await started(MemoryBroker())
    progress: list[str] = []
    task = asyncio.create_task(bus.publish(TOPOLOGY.ingress, "0", b"x"))
    task.add_done_callback(lambda _: progress.append("confirmed"))
    asyncio.get_running_loop().call_soon(progress.append, "next turn")
    await task
    await asyncio.sleep(0)
    assert progress == ["next turn", "confirmed"]


async def test_a_publish_under_way_at_a_cut_is_not_confirmed() -> None:
    """A cut before the confirm leaves the message's fate unknown to the sender, though the broker has it."""
    broker = MemoryBroker()
    bus = await started(broker)
    task = asyncio.create_task(bus.publish(TOPOLOGY.ingress, "0", b"x"))
    await asyncio.sleep(0)
    broker.cut(bus)
    with pytest.raises(NotConfirmed):
        await task
    assert broker.depth(TOPOLOGY.log(0).name) == 1


async def test_start_waits_while_cut_off() -> None:
    """A bus that is cut off before its start is up when the broker lets it."""
    broker = MemoryBroker()
    bus = MemoryBus(broker, TOPOLOGY)
    broker.cut(bus)
    starting = asyncio.create_task(bus.start())
    await asyncio.sleep(0)
    assert not starting.done()
    broker.restore(bus)
    await starting
    assert bus.up
    assert not bus.blocked


async def test_a_cut_and_a_cut_again_are_told_once() -> None:
    """Cutting twice and restoring twice tells each change once."""
    broker = MemoryBroker()
    bus = await started(broker)
    told: list[bool] = []
    bus.watch(told.append)
    for _ in range(2):
        broker.cut(bus)
    for _ in range(2):
        broker.restore(bus)
    await eventually(lambda: bus.up)
    await asyncio.sleep(0)
    assert told == [False, True]


async def test_a_broker_that_is_back_with_another_topology_stays_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When the topology changed while the bus was cut off, it does not come up, and the log says why."""
    broker = MemoryBroker()
    bus = await started(broker)
    broker.cut(bus)
    broker.delete(TOPOLOGY.guard_queue().name)
    broker.declare_queue(Topology(shards=3).guard_queue(), None)
    broker.restore(bus)
    await eventually(lambda: "another topology" in caplog.text)
    assert not bus.up
    with pytest.raises(TopologyMismatch):
        await started(broker)


async def test_nothing_is_left_in_a_broker_after_close() -> None:
    """After close the exclusive queues are gone, readers have ended, nobody heard of a loss, and a restore
    does not bring it back.
    """
    broker = MemoryBroker()

    bus = await started(broker, TOPOLOGY)
    durable = set(broker.queues())
    lost: list[str] = []
    await bus.subscribe(
        lambda: Source(*TOPOLOGY.gateway_queue("g", "1")),
        lambda _: None,
        prefetch=1,
        on_lost=lambda: lost.append("subscription"),
    )
    bus.watch(lambda up: lost.append(str(up)))

    def more(_: Record) -> bool:
        return True

    reading = asyncio.create_task(bus.tail(TOPOLOGY.log(0).name, "first", more))
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(BusUnavailable):
        await reading
    assert set(broker.queues()) == durable
    broker.restore(bus)
    await asyncio.sleep(0)
    assert not bus.up
    assert lost == []
