"""What became of a message, with everything real: gateways that have members, slow ones too, and gateways that
stand still, die and forget.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.support.client import Client, connect
from tests.support.eventually import eventually
from tests.support.pods import Gateway, Pods
from tests.support.ports import free_ports

from router.core.api_keys import hash_of
from warren.address import gateway_of

pytestmark = pytest.mark.rabbit

KEYS = f'keys: [{{name: all, sha256: "{hash_of(b"all")}", scopes: ["*"]}}]'
GATEWAY = {
    "WARREN_NAMESPACES": '- {name: feed, pattern: "feed:*", slow: drop_oldest, history: {count: 1000}}',
    "WARREN_GATEWAY_OUTBOX_BYTES": "262144",
    "WARREN_GATEWAY_GRACE_MS": "0",
}


class Installation:
    """Two gateways and a router."""

    def __init__(self, gateways: list[Gateway], url: str, session: aiohttp.ClientSession) -> None:
        self.gateways = gateways
        self.names = ["" for _ in gateways]  # as their first members tell
        self._url = url
        self._session = session

    async def member(self, gateway: int, room: str) -> Client:
        client = await connect(self.gateways[gateway].url)
        self.names[gateway] = gateway_of(client.id)
        await client.join(room)
        return client

    async def ask(self, verb: str, **body: Any) -> dict[str, Any]:
        headers = {"Authorization": "Bearer all"}
        async with self._session.post(f"{self._url}/{verb}", json=body, headers=headers) as response:
            found: dict[str, Any] = json.loads(await response.read())
            return found

    async def publish(self, room: str, ident: str, payload: Any = 1, **more: Any) -> dict[str, Any]:
        """Return where it stands."""
        return await self.ask(
            "publish", address=f"room.{room}", id=ident, payload=payload, wait_ms=5_000, **more
        )

    async def explained(self, room: str, ident: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what is told of a message, and what of each gateway, in their order here."""
        told = await self.ask("explain", address=f"room.{room}", id=ident)
        by_name = {each["gateway"]: each for each in told.get("gateways", ())}
        return told, [by_name.get(name, {}) for name in self.names]


@pytest_asyncio.fixture
async def installation(pods: Pods, tmp_path: Path) -> Any:
    keys, (port,) = tmp_path / "keys.yaml", free_ports(1)
    keys.write_text(KEYS)
    await pods.router(
        {
            "WARREN_ROUTER_API_HOST": "127.0.0.1",
            "WARREN_ROUTER_API_PORT": str(port),
            "WARREN_ROUTER_API_KEYS_FILE": str(keys),
            "WARREN_NAMESPACES": GATEWAY["WARREN_NAMESPACES"],
        }
    )
    gateways = [await pods.gateway(GATEWAY) for _ in range(2)]
    async with aiohttp.ClientSession() as session:
        yield Installation(gateways, f"http://127.0.0.1:{port}/v1", session)


def numbers(told: dict[str, Any]) -> tuple[Any, Any, Any]:
    return told.get("written"), told.get("withheld"), told.get("expired")


async def test_a_message_is_followed_to_each_connection(installation: Installation):
    """To whom it was written, and from whom it was withheld, as that one reads too slowly."""
    async with (
        await installation.member(0, "feed:1") as fast,
        await installation.member(1, "feed:1"),
        await installation.member(1, "feed:1") as slow,
    ):
        await installation.publish("feed:1", "first")
        told, (one, other) = await installation.explained("feed:1", "first")
        assert (numbers(told), told.get("unknown", [])) == ((3, 0, 0), [])
        assert (one["state"], numbers(one), other["state"], numbers(other)) == (
            "counted",
            (1, 0, 0),
            "counted",
            (2, 0, 0),
        )
        assert (one["fed"], one["seq"]) == (True, 1)
        slow.stop_reading()
        slow.socket.transport.pause_reading()
        sent = 0
        while True:
            for _ in range(10):
                sent += 1
                await installation.publish("feed:1", f"m{sent}", "x" * 60_000)
            told, (one, other) = await installation.explained("feed:1", f"m{sent - 8}")
            if told["withheld"]:
                break
            assert sent < 1_000
        assert (numbers(one), numbers(other), numbers(told)) == ((1, 0, 0), (1, 1, 0), (2, 1, 0))
        told, _ = await installation.explained("feed:1", f"m{sent}")
        assert numbers(told) == (3, 0, 0)
        await fast.expect("NOTIFICATION", id=f"m{sent}")


async def test_a_gateway_that_stands_still_is_named(installation: Installation):
    """The other one's numbers are told; what has expired when it goes on is told as that."""
    async with await installation.member(0, "a") as ann, await installation.member(1, "a") as bob:
        installation.gateways[1].pause()
        try:
            await installation.ask("publish", address="room.a", id="late", payload=1, expiration=500)
            await ann.expect("NOTIFICATION", id="late")
            told, (one, other) = await installation.explained("a", "late")
            assert (one["state"], numbers(one)) == ("counted", (1, 0, 0))
            assert (other["state"], numbers(other)) == ("silent", (None, None, None))
            assert (numbers(told), told["unknown"]) == ((1, 0, 0), ["written", "withheld", "expired"])
        finally:
            installation.gateways[1].resume()

        async def found() -> bool:
            told, (_, other) = await installation.explained("a", "late")
            return other["state"] == "counted" and (numbers(told), numbers(other)) == ((1, 0, 1), (0, 0, 1))

        await eventually(found, timeout_s=20)
        assert bob.of_type("NOTIFICATION", id="late") == []


async def test_a_gateway_that_has_forgotten_or_died_is_named(installation: Installation):
    """What is not known is said for each; who catches up on another gateway counts there."""
    ann = await installation.member(0, "a")
    bob = await installation.member(0, "a")
    cid = await installation.member(1, "b")
    await installation.publish("a", "m1")
    await installation.publish("b", "m2")
    told = await ann.expect("NOTIFICATION", id="m1")
    await ann.close()
    await bob.close()

    async def forgotten() -> bool:
        _, (one, _) = await installation.explained("a", "m1")
        return one["state"] == "forgotten"

    await eventually(forgotten)
    async with await connect(installation.gateways[1].url) as late:
        await late.join("a", since={"epoch": told["epoch"], "seq": 0})
        await late.expect("NOTIFICATION", id="m1")
        told, (one, other) = await installation.explained("a", "m1")
        assert (one["state"], other["state"], numbers(other)) == ("forgotten", "partly", (1, 0, 0))
        assert ("fed" in one, "fed" in other) == (True, False)
        assert (told["written"], told["unknown"]) == (1, ["written", "withheld", "expired"])
        installation.gateways[1].kill()

        async def gone() -> bool:
            told, (_, other) = await installation.explained("b", "m2")
            assert (other["state"] in ("silent", "gone"), "written" in told) == (True, False)
            return other["state"] == "gone"

        await eventually(gone, timeout_s=30)
        await asyncio.wait([asyncio.ensure_future(cid.socket.wait_closed())])
