"""A gateway's pod goes in order: its clients go on elsewhere and have lost nothing."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client import Client, connect
from tests.support.eventually import MS, eventually
from tests.support.pods import Gateway, Pods
from tests.support.recorder import Recorder

pytestmark = pytest.mark.rabbit

ENV = {
    "WARREN_GATEWAY_RATE": "0",
    "WARREN_GATEWAY_DRAIN_MS": "1500",
    "WARREN_GATEWAY_DRAIN_DEADLINE_MS": "10000",
}
ROOMS = ("chat:1", "chat:2")


async def move(client: Client, recorder: Recorder, user: str, there: Gateway) -> Client:
    """Do what a client does that is asked away: at its slot it connects elsewhere and joins its rooms with
    their positions.
    """
    slot = await client.expect("RECONNECT", timeout_s=10.0)
    await asyncio.sleep(slot["payload"]["after_ms"] * MS)
    await client.close()
    again = await connect(there.url + "?join=manual", user=user, listener=recorder)
    for room in (*ROOMS, f"@{user}"):
        epoch, seq = recorder.position(room)
        joined = await again.join(room, {"epoch": epoch, "seq": seq})
        assert joined["payload"]["recovered"], joined
    return again


async def test_clients_of_a_pod_that_goes_resume_elsewhere(pods: Pods):
    """Each is sent away in its own slot while a sender goes on; each gets every message once and in order,
    and the pod ends well.
    """
    (first, second), _ = await pods.installation(2, 1, ENV)
    users = [f"user{number}" for number in range(8)]
    recorders = [Recorder() for _ in users]
    clients = [
        await connect(first.url, user=user, listener=recorder)
        for user, recorder in zip(users, recorders, strict=True)
    ]
    async with await connect(second.url, user="ann") as ann:
        for client, user in zip(clients, users, strict=True):
            for room in ROOMS:
                await client.join(room)
            await client.expect("JOINED", room=f"@{user}")
        sent, going = 0, asyncio.Event()

        async def talk() -> None:
            nonlocal sent
            while not going.is_set():
                sent += 1
                for room in ROOMS:
                    await ann.publish(room, {"n": sent})
                await asyncio.sleep(20 * MS)

        talking = asyncio.create_task(talk())
        await eventually(lambda: sent >= 5)
        ended = asyncio.create_task(first.terminate())
        try:
            moved = await asyncio.gather(
                *(move(*each, second) for each in zip(clients, recorders, users, strict=True))
            )
        finally:
            going.set()
            await talking
        assert await ended == 0
        await eventually(
            lambda: all(one.delivered(room) >= sent for one in recorders for room in ROOMS), 10.0
        )
        for recorder in recorders:
            for room in ROOMS:
                recorder.check(room, sent={"ann": sent})
        for client in moved:
            await client.close()
