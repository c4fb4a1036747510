"""Calls to backends over either bus: the answer, why there is none, and what a lost connection does to both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.buses import ContractTopology, NewBus, World
from tests.support.eventually import eventually, stretched

from gateway.core.open_calls import CallLimits
from gateway.shell.backend_calls import BackendCalls, Outcome, Reply, Request
from warren.bus import Bus, Delivery, HeaderValue, Properties, Source
from warren.clock import SystemClock
from warren.errors import CallFailed, ErrorCode
from warren.metrics import GatewayMetrics
from warren.topology import Binding, Queue

ASKED = Properties("application/json", message_id="ann~r1", headers={"user": "ann"})


class Server:
    """A backend: what it was asked, and answers when it is told to."""

    def __init__(self, bus: Bus, topology: ContractTopology) -> None:
        self._bus = bus
        self._topology = topology
        self.asked: list[Delivery] = []

    async def serve(self, key: str, queue: Queue) -> None:
        def taken(delivery: Delivery) -> None:
            self.asked.append(delivery)
            delivery.ack()

        source = Source(queue, (Binding(self._topology.rpc, queue.name, key),))
        await self._bus.subscribe(lambda: source, taken, prefetch=100)

    async def answer(self, asked: Delivery, body: bytes, **headers: HeaderValue) -> None:
        properties = Properties(correlation_id=asked.properties.correlation_id, headers=headers)
        await self._bus.publish("", asked.properties.reply_to or "", body, properties, persistent=False)

    async def asked_for(self, count: int) -> Delivery:
        await eventually(lambda: len(self.asked) >= count, timeout_s=10)
        return self.asked[count - 1]


@pytest_asyncio.fixture
async def calls(bus: Bus, topology: ContractTopology) -> AsyncIterator[BackendCalls]:
    made = BackendCalls("g1", bus, topology, SystemClock(), GatewayMetrics(), {topology.rpc: CallLimits(64)})
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def server(bus_factory: NewBus, topology: ContractTopology) -> Server:
    return Server(await bus_factory(), topology)


def own(topology: ContractTopology, name: str) -> Queue:
    return Queue(f"{topology.prefix}.router.{name}", "exclusive")


async def test_a_backend_answers_to_the_queue_that_the_request_names(
    calls: BackendCalls, server: Server, topology: ContractTopology
) -> None:
    """With everything in the request that it needs, and nothing of ours in the answer but the correlation."""
    await server.serve("orders.#", own(topology, "orders"))
    asking = asyncio.ensure_future(calls.call(topology.rpc, "orders.get", b"7", ASKED, stretched(10), "ann"))
    asked = await server.asked_for(1)
    assert (asked.routing_key, asked.body, asked.properties.type) == ("orders.get", b"7", "REQUEST")
    assert asked.properties.message_id == "ann~r1"
    assert dict(asked.properties.headers) == {"user": "ann", "attempt": 1}
    assert asked.properties.expiration_ms
    await server.answer(asked, b'{"ok":true}')
    reply = await asking
    assert (reply.body, reply.more) == (b'{"ok":true}', False)


async def test_nobody_there_is_told_at_once(calls: BackendCalls, topology: ContractTopology) -> None:
    """Long before the time is over."""
    with pytest.raises(CallFailed) as failed:
        await calls.call(topology.rpc, "orders.get", b"7", ASKED, 3_600)
    assert failed.value.code is ErrorCode.NO_SERVICE


async def test_a_full_queue_is_told_at_once(
    calls: BackendCalls, topology: ContractTopology, bus: Bus
) -> None:
    """Where the backend has said that it is to refuse."""
    full = Queue(
        f"{topology.prefix}.router.full", "exclusive", {"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    held: list[Delivery] = []
    source = Source(full, (Binding(topology.rpc, full.name, "s"),))
    await bus.subscribe(lambda: source, held.append, prefetch=1)
    told: list[Outcome] = []
    for _ in range(4):
        calls.open(Request(topology.rpc, "s", b"7", ASKED, 3_600), told.append)
    await eventually(lambda: told)
    assert all(isinstance(one, CallFailed) and one.code is ErrorCode.OVERLOADED for one in told)


async def test_parts_come_in_their_order_and_a_cancel_gets_through(
    calls: BackendCalls, server: Server, topology: ContractTopology
) -> None:
    """By the key of cancels, which another queue may be bound to."""
    await server.serve("s", own(topology, "s"))
    told: list[Outcome] = []
    name = calls.open(Request(topology.rpc, "s", b"7", ASKED, stretched(10)), told.append)
    asked = await server.asked_for(1)
    for n in range(1, 51):
        await server.answer(asked, b"%d" % n, n=n, more=True)
    await eventually(lambda: len(told) == 50)
    assert [(one.n, one.body) for one in told if isinstance(one, Reply)] == [
        (n, b"%d" % n) for n in range(1, 51)
    ]
    cancelled = Server(server._bus, topology)
    await cancelled.serve("*.cancel", own(topology, "cancels"))
    calls.cancel(name)
    cancel = await cancelled.asked_for(1)
    assert (cancel.routing_key, cancel.properties.type) == ("s.cancel", "CANCEL")
    assert cancel.properties.correlation_id == asked.properties.correlation_id


async def test_a_lost_connection_has_open_calls_asked_again_and_answered_once(
    calls: BackendCalls, server: Server, topology: ContractTopology, world: World, bus: Bus
) -> None:
    """Under the same ids, with another queue for the answer; the answer to the first attempt is lost."""
    await server.serve("s", own(topology, "s"))
    told: list[Outcome] = []
    calls.open(Request(topology.rpc, "s", b"7", ASKED, stretched(30)), told.append)
    first = await server.asked_for(1)
    await world.cut(bus)
    await eventually(lambda: not bus.up, timeout_s=10)
    await world.restore(bus)
    again = await server.asked_for(2)
    assert again.properties.message_id == first.properties.message_id
    assert again.properties.correlation_id == first.properties.correlation_id
    assert again.properties.reply_to != first.properties.reply_to
    assert again.properties.headers["attempt"] != 1
    await server.answer(first, b"lost")
    await server.answer(again, b"1")
    await eventually(lambda: told)
    assert [one.body for one in told if isinstance(one, Reply)] == [b"1"]
