"""A gateway whose backends decide, on a memory bus: what waits for them is counted and bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings
from websockets.exceptions import ConnectionClosed

from warren.bus import Delivery, Source
from warren.bus.memory.bus import MemoryBus
from warren.namespaces import Namespaces
from warren.settings import NamespaceSettings
from warren.topology import Binding, Queue

HOOKED = NamespaceSettings(
    namespaces=Namespaces.parse(
        "[{name: w, pattern: 'w:*', hooks: [publish]}, {name: j, pattern: 'j:*', hooks: [join]}]"
    )
)


@asynccontextmanager
async def silent_backend(home: House, *keys: str) -> AsyncIterator[list[Delivery]]:
    """A backend that is asked, and never answers."""
    asked: list[Delivery] = []

    def taken(delivery: Delivery) -> None:
        asked.append(delivery)
        delivery.ack()

    bus = MemoryBus(home.broker, home.topology)
    await bus.start()
    queue = Queue("app.silent", "exclusive", {})
    bindings = tuple(Binding(home.topology.hooks, queue.name, key) for key in keys)
    subscription = await bus.subscribe(lambda: Source(queue, bindings), taken, prefetch=1_000)
    try:
        yield asked
    finally:
        await subscription.close()
        await bus.close()


async def test_what_waits_for_a_backend_counts_for_what_all_connections_hold(home: House):
    """Many clients whose messages wait are closed as those are that hold much (1013), before the pod holds
    more than it may; one that holds little stays.
    """
    settings = gateway_settings(
        namespaces=HOOKED,
        hooks={"hook_timeout_ms": 30_000},
        limits={"message_bytes": 65_536, "outbox_bytes": 65_536, "buffer_bytes": 1_048_576},
    )
    gateway = await home.gateway(settings)
    async with silent_backend(home, "publish.w"), await connect(home.url(), user="calm") as calm:
        crowd: list[Client] = [await connect(home.url(), user=f"u{number}") for number in range(40)]
        for client in crowd:
            with contextlib.suppress(ConnectionClosed):
                await client.send("CHAT", "w:a", "x" * 60_000)
                await client.settle()  # one after the other: nobody is in the middle of a message
        closed = await eventually(lambda: [client for client in crowd if client.socket.close_code == 1013])
        assert len(closed) < len(crowd)
        await calm.settle()
        assert gateway._memory._receiving <= 1_048_576
        for client in crowd:
            await client.close()


async def test_a_client_that_floods_a_silent_backend_holds_little(home: House):
    """It is not read beyond a few messages, and what it does elsewhere goes on when the backend's time is
    over.
    """
    gateway = await home.gateway(gateway_settings(namespaces=HOOKED, hooks={"hook_timeout_ms": 300}))
    async with silent_backend(home, "publish.w") as asked, await connect(home.url(), user="ann") as ann:
        (connection,) = gateway.connections.all()
        for number in range(200):
            await ann.send("CHAT", "w:a", number, id=str(number))
        await eventually(lambda: connection.session.unread)
        assert connection.session.held_bytes < 20_000
        errors = await ann.expect_all("ERROR", 200, timeout_s=20.0)
        assert [error["ref"] for error in errors] == [str(number) for number in range(200)]
        assert {error["payload"]["code"] for error in errors} == {"unavailable"}
        # those that waited behind one were told with it
        assert len(asked) < 30
        await ann.settle()
        assert (connection.session.unread, connection.session.held_bytes) == (False, 0)


async def test_who_leaves_in_the_middle_leaves_nothing_behind(home: House):
    """However many rooms it was asking for."""
    gateway = await home.gateway(gateway_settings(namespaces=HOOKED, hooks={"hook_timeout_ms": 300}))
    async with silent_backend(home, "join.j") as asked:
        async with await connect(home.url(), user="ann") as ann:
            for number in range(8):
                await ann.send("JOIN", f"j:{number}")
            await eventually(lambda: asked)
        await eventually(lambda: not gateway.connections.all())
        desk = gateway._hooks._desk
        await eventually(lambda: len(desk) == 0)
        assert gateway._hooks._askers == {}
        await asyncio.sleep(0)
        assert not desk._by_conn
