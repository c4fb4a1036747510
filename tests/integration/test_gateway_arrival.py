"""A message counts when it came, not when it is handled."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually
from tests.support.gateways import House, gateway_settings
from tests.support.raw import Pacer, masked

STALL_S = 2.0


async def test_a_gateway_that_stands_still_closes_no_fair_client_and_a_flooder_still(home: House) -> None:
    """While the loop is blocked for 2 s clients send at the allowed pace: none gets 4002; one that sends at
    ten times the pace does.
    """
    gateway = await home.gateway(gateway_settings(limits={"rate": 10, "rate_per_ms": 1_000}))
    ping = masked(b'{"type":"PING"}')
    control = masked(b"", 9)
    fair = [Pacer(gateway.port, [ping] * 40, 0.101) for _ in range(5)] + [
        Pacer(gateway.port, [control] * 240, 0.0125)
    ]
    flooder = Pacer(gateway.port, [ping] * 400, 0.0101)
    everyone = [*fair, flooder]
    for one in everyone:
        one.start()
    await eventually(lambda: len(gateway.connections) == len(everyone))
    await asyncio.sleep(0.3)  # a part of a second of the pace, so that buckets are neither full nor empty
    time.sleep(STALL_S)  # noqa: ASYNC251 - the loop stands still
    await eventually(lambda: not any(one.is_alive() for one in everyone), timeout_s=20)
    assert [one.code for one in fair] == [0] * len(fair)
    assert [one.received.count(b'"PONG"') for one in fair] == [40] * 5 + [0]
    assert b'warren_gateway_closes_total{code="4002"} 1.0' in gateway.metrics.render()[0]


async def test_a_client_that_was_held_back_for_a_crowded_shard_is_not_closed_for_it(home: House) -> None:
    """What it sent at the allowed pace meanwhile counts at the time when it came."""
    gateway = await home.gateway(gateway_settings(limits={"rate": 10, "rate_per_ms": 1_000}))
    async with await connect(home.url()) as ann:
        crowded = gateway.uplink.crowded
        free = asyncio.Event()

        async def place(shard: int) -> None:
            await free.wait()

        gateway.uplink.crowded = lambda shard: not free.is_set()  # type: ignore[method-assign]
        gateway.uplink.place = place  # type: ignore[method-assign]
        for number in range(25):
            await ann.send("CHAT", "default", number, id=f"m{number}")
            await asyncio.sleep(0.101)
        gateway.uplink.crowded = crowded  # type: ignore[method-assign]
        free.set()
        await ann.expect_all("ACK", 25)


@pytest.mark.parametrize("size", [10, 3_000])
async def test_what_waits_at_the_client_meanwhile_counts_so_too(home: House, size: int) -> None:
    """Also what was sent while the socket was not read."""
    gateway = await home.gateway(gateway_settings(limits={"rate": 50, "rate_per_ms": 1_000}))
    async with await connect(home.url()) as ann:
        connection = gateway.connections.find(ann.id)
        assert connection is not None
        resting = asyncio.create_task(connection.transport.rest(2.1))
        connection.transport.hold()
        for number in range(100):
            await ann.send("CHAT", "default", "x" * size, id=f"m{number}")
            await asyncio.sleep(0.0205)
        connection.transport._let()
        await ann.expect_all("ACK", 100)
        await resting


@pytest.mark.parametrize("size", [10, 150_000])
async def test_a_silence_behind_it_earns_nothing(home: House, size: int) -> None:
    """What comes when the socket was read again, and found empty, came then: a burst is as large as it may
    be, whatever was before.
    """
    await home.gateway(gateway_settings(limits={"rate": 5, "rate_per_ms": 1_000}))
    async with await connect(home.url()) as ann:
        connection = home.gateways[0].connections.find(ann.id)
        assert connection is not None
        connection.transport.hold()
        await ann.send("CHAT", "default", "x" * size, id="first")
        connection.transport._let()
        await ann.expect("ACK", ref="first")
        await asyncio.sleep(3.0)
        for number in range(15):
            await ann.send("CHAT", "default", number, id=f"m{number}")
        await ann.expect("ERROR")
        assert (await ann.closed())[0] == 4002
