"""The port that clients connect to: what is refused before there is a connection."""

from __future__ import annotations

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from tests.support.gateways import gateway_settings, house


async def test_routes_of_others_are_served_beside_ours():
    """Routes that the composition root is given are served on the clients' port; unknown paths are 404."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="the page")

    async with house() as home, ClientSession() as client:
        await home.gateway(routes=[web.get("/", page)])
        async with client.get(home.url(path="/", scheme="http")) as answer:
            assert await answer.text() == "the page"
        async with client.get(home.url(path="/nothing", scheme="http")) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("path", ["/ws", "/ws/echo"])
async def test_every_refusal_gives_its_place_back(path: str):
    """However an upgrade is refused, no place stays taken, and a good one follows."""
    async with house() as home, ClientSession() as client:
        gateway = await home.gateway(gateway_settings(limits={"connections": 1}))
        url = home.url(path=path)
        for headers in ({"Origin": "https://evil.test"}, {"Sec-WebSocket-Version": "99"}):
            for _ in range(3):
                with pytest.raises(WSServerHandshakeError):
                    await client.ws_connect(url, headers=headers)
        async with client.get(home.url(path=path, scheme="http")) as answer:
            assert answer.status == 400
        assert len(gateway.lobby) == 0
        async with client.ws_connect(url) as socket:
            assert len(gateway.lobby) == 1
            with pytest.raises(WSServerHandshakeError) as caught:
                await client.ws_connect(url)
            assert caught.value.status == 503
            await socket.close()


async def test_statistics_are_not_cached():
    """``/websocket-stats`` is JSON that nobody may keep."""
    async with house() as home, ClientSession() as client:
        gateway = await home.gateway()
        async with client.get(home.url(path="/websocket-stats", scheme="http")) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            stats = await answer.json()
        assert {"connections", "messages", "errors", "memory", "uptime"} <= set(stats)
        assert stats["gateway"] == gateway.id


async def test_the_echo_route_offers_no_subprotocol():
    """On the echo route subprotocols are neither asked for nor answered, so that any suite can connect."""
    async with house() as home, ClientSession() as client:
        await home.gateway()
        async with client.ws_connect(home.url(path="/ws/echo"), protocols=["mqtt"]) as socket:
            assert socket.protocol is None
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"
