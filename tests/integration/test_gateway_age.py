"""A pod that shares: clients that were here for long go on elsewhere, and a pod that is nearly full is not
given new ones.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client import connect
from tests.support.eventually import eventually, stretched
from tests.support.gateways import House, gateway_settings, get
from websockets.asyncio.client import connect as websocket

import gateway.app


async def test_a_client_that_was_here_for_long_is_sent_elsewhere(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its age a client is asked to connect again at once, everything works on, and a while later it is
    closed with 1012.
    """
    monkeypatch.setattr(gateway.app, "AGE_GRACE_S", 0.5)
    await home.gateway(
        gateway_settings(times={"max_age_ms": 1_000, "max_age_jitter_percent": 0, "heartbeat_ms": 200})
    )
    async with (
        await connect(home.url(), user="ann") as ann,
        websocket(home.url(path="/ws/echo"), proxy=None) as echo,
    ):
        assert ann.of_type("RECONNECT") == []
        asked = await ann.expect("RECONNECT")
        assert asked["payload"] == {"after_ms": 0}
        await ann.publish("default", "still here")
        await ann.expect("ERROR", payload__code="draining", payload__close=1012)
        assert await ann.closed() == (1012, "Draining")
        assert len(ann.of_type("RECONNECT")) == 1
        await asyncio.wait_for(echo.wait_closed(), stretched(5.0))
        assert echo.close_code == 1012


async def test_ages_differ(home: House) -> None:
    """With a jitter of the whole age, clients that came together are asked at different times."""
    await home.gateway(
        gateway_settings(times={"max_age_ms": 1_000, "max_age_jitter_percent": 100, "heartbeat_ms": 200})
    )
    clients = [await connect(home.url(), user=f"u{number}") for number in range(12)]
    loop, times = asyncio.get_running_loop(), []

    async def asked(client) -> None:
        await client.expect("RECONNECT")
        times.append(loop.time())

    await asyncio.gather(*map(asked, clients))
    assert max(times) - min(times) > 0.1
    for client in clients:
        await client.close()


async def test_a_pod_that_goes_asks_nobody_twice(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the pod drains, each has its slot of the drain, and no age cuts it short."""
    monkeypatch.setattr(gateway.app, "AGE_GRACE_S", 0.0)
    settings = gateway_settings(times={"max_age_ms": 1_000, "drain_ms": 1_500, "drain_deadline_ms": 6_000})
    pod = await home.gateway(settings)
    clients = [await connect(home.url(), user=f"u{number}") for number in range(2)]
    stopping = asyncio.create_task(pod.stop())
    slots = [(await client.expect("RECONNECT"))["payload"]["after_ms"] for client in clients]
    assert slots == [0, 750]
    asked = asyncio.get_running_loop().time()
    for client in clients:
        assert (await client.closed())[0] == 1012
        assert len(client.of_type("RECONNECT")) == 1
        await client.close()
    # the last one's slot, and the second that it may take
    assert asyncio.get_running_loop().time() - asked > 1.5
    await stopping
    home.gateways.clear()


async def test_a_pod_that_is_nearly_full_is_not_ready_and_still_takes_clients(home: House) -> None:
    """From its share of places on it is not ready, so that new clients are sent elsewhere; it refuses none,
    and is ready again later.
    """
    pod = await home.gateway(gateway_settings(limits={"connections": 10, "full_percent": 20}))
    url = f"http://127.0.0.1:{pod.probes.port}"
    first = await connect(home.url(), user="ann")
    assert (await get(f"{url}/readyz"))[0] == 200
    second = await connect(home.url(), user="bob")
    status, body, _ = await get(f"{url}/readyz")
    assert (status, body["reasons"]) == (503, {"load": "nearly full"})
    third = await connect(home.url(), user="cid")
    await third.publish("default", "welcome all the same")
    await first.close()
    await second.close()
    await eventually(lambda: len(pod.connections) == 1)
    assert (await get(f"{url}/readyz"))[0] == 200
    assert "warren_gateway_connection_limit 10.0" in (await get(f"{url}/metrics"))[1]
    await third.close()
