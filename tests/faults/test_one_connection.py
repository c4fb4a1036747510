"""One of a gateway's connections to the broker is lost, and the other one lives."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.client import connect
from tests.support.pods import Pods
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.rabbit


def connection_of(rabbit: Rabbit, process: str, purpose: str) -> str:
    """Return the broker's name for a connection."""
    listed = rabbit.ctl("list_connections", "pid", "client_properties").splitlines()
    found = [line for line in listed if process in line and f'/{purpose}"' in line]
    assert len(found) == 1, listed
    return found[0].partition("\t")[0]


@pytest.mark.parametrize("purpose", ["consume", "publish"])
async def test_clients_are_told_of_it_and_all_goes_on(pods: Pods, rabbit: Rabbit, purpose: str) -> None:
    """Whichever it is: what they send meanwhile gets there once."""
    (near, far), _ = await pods.installation(2, 1, {"WARREN_GATEWAY_RATE": "0"})
    async with await connect(near.url, user="ann") as ann, await connect(far.url, user="bob") as bob:
        for client in (ann, bob):
            await client.join("x")
        await ann.publish("x", "before")
        lost = await asyncio.to_thread(connection_of, rabbit, ann.id.partition("~")[0], purpose)
        closing = asyncio.create_task(asyncio.to_thread(rabbit.ctl, "close_connection", lost, "test"))
        await ann.expect("DEGRADED", timeout_s=30.0)
        await ann.send("CHAT", "x", "meanwhile", id="m")
        await ann.expect("RESTORED", timeout_s=15.0)
        await ann.expect("ACK", ref="m", timeout_s=15.0)
        await bob.publish("x", "after")
        await ann.expect("CHAT", payload="after")
        await closing
        assert [one["payload"] for one in bob.of_type("CHAT")] == ["before", "meanwhile"]
        assert bob.of_type("DEGRADED") == []
