"""The port that clients connect to: what is refused before there is a connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import pytest
from aiohttp import ClientSession, WSServerHandshakeError, web
from tests.support.eventually import eventually
from tests.support.gateways import gateway_settings, house, logged

from gateway.settings import GatewayProbeSettings, ListenSettings


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
        assert len(gateway.connections) == 0
        async with client.ws_connect(url) as socket:
            assert len(gateway.connections) == 1
            with pytest.raises(WSServerHandshakeError) as caught:
                await client.ws_connect(url)
            assert caught.value.status == 503
            await socket.close()


@pytest.mark.parametrize(("path", "part"), [("/ws", "Session"), ("/ws/echo", "Echo")])
async def test_a_fault_of_ours_behind_the_upgrade_leaves_no_socket(
    path: str, part: str, monkeypatch: pytest.MonkeyPatch
):
    """The socket is ours by then: nobody else would close it, and the client would wait for ever."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(f"gateway.shell.server.{part}", fails)
    async with house() as home:
        gateway = await home.gateway()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE.replace(b"/ws", path.encode()) + b"\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        assert len(gateway.connections) == 0
        await eventually(lambda: gateway._server.sockets == 0)
        writer.close()


async def test_statistics_are_not_cached():
    """``/websocket-stats`` is JSON that nobody may keep."""
    async with house() as home, ClientSession() as client:
        gateway = await home.gateway()
        async with client.get(home.url(path="/websocket-stats", scheme="http")) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            stats = await answer.json()
        assert {"connections", "messages", "errors", "memory", "uptime"} <= set(stats)
        assert stats["gateway"] == gateway.id


@pytest.mark.parametrize(("where", "outside"), [("external", 200), ("internal", 404)])
async def test_statistics_are_shown_to_strangers_unless_they_are_internal(where: str, outside: int):
    """By default ``/websocket-stats`` is on the clients' port; WARREN_GATEWAY_STATS=internal leaves it on the
    internal one alone.
    """
    async with house() as home, ClientSession() as client:
        gateway = await home.gateway(gateway_settings(listen={"stats": where}))
        async with client.get(home.url(path="/websocket-stats", scheme="http")) as answer:
            assert answer.status == outside
        async with client.get(f"http://127.0.0.1:{gateway.probes.port}/websocket-stats") as answer:
            assert answer.status == 200
            assert {"memory", "uptime"} <= set(await answer.json())


async def test_both_ports_are_there_in_both_families():
    """With the default host clients and probes come by IPv4 and by IPv6, by the same ports."""
    probes = GatewayProbeSettings(internal_port=0)
    settings = gateway_settings(listen={"host": ListenSettings().host}).model_copy(update={"probes": probes})
    async with house() as home, ClientSession() as client:
        gateway = await home.gateway(settings)
        for host in families():
            async with client.ws_connect(f"ws://{host}:{gateway.port}/ws/echo") as echo:
                await echo.send_str("a")
                assert await echo.receive_str() == "a"
            async with client.get(f"http://{host}:{gateway.probes.port}/healthz") as answer:
                assert answer.status == 200


def families() -> list[str]:
    """Return the loopback's addresses in the families that this machine has."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ["127.0.0.1", "[::1]"]
    except OSError:
        return ["127.0.0.1"]


async def test_the_echo_route_offers_no_subprotocol():
    """On the echo route subprotocols are neither asked for nor answered, so that any suite can connect."""
    async with house() as home, ClientSession() as client:
        await home.gateway()
        async with client.ws_connect(home.url(path="/ws/echo"), protocols=["mqtt"]) as socket:
            assert socket.protocol is None
            await socket.send_str("hello")
            assert await socket.receive_str() == "hello"


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.mark.parametrize(
    "header", [b"Cookie: name=Andr\xe9", b"X-Any: \xff\xfe", b"Authorization: Bearer \xff"]
)
async def test_a_header_that_is_no_utf8_does_not_stop_the_upgrade(header: bytes):
    """Cookies and other headers may hold any bytes; they are not the gateway's business."""
    async with house() as home:
        gateway = await home.gateway()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE + header + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 101")
        writer.close()


@pytest.mark.parametrize("origin", [b"Origin: http://[", b"Origin: http://h\r\nOrigin: https://evil.example"])
async def test_what_is_no_single_origin_is_refused(origin: bytes):
    """What is no URL is a 403, not our error; of two of them a proxy in between may read the other one."""
    async with house() as home:
        gateway = await home.gateway()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE + origin + b"\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 403")
        writer.close()


async def test_clients_that_vanish_leave_no_traceback(caplog: pytest.LogCaptureFixture):
    """Who goes during the upgrade is nothing to report as an error, and who goes without a close frame is
    logged as 1006.
    """
    caplog.set_level(logging.INFO)
    async with house() as home:
        gateway = await home.gateway()
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(UPGRADE + b"\r\n")
            await writer.drain()
            writer.transport.abort()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(UPGRADE + b"\r\n")
        await reader.readuntil(b"WELCOME")
        writer.transport.abort()
        async with asyncio.timeout(5):
            await gateway.connections.empty()
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert {line["code"] for line in logged(caplog.records, "ws_disconnect")} == {1006}


async def test_a_refused_origin_is_logged_with_what_mends_it(caplog: pytest.LogCaptureFixture):
    """Once in a while for each, with the setting's name; and its page is told too."""
    caplog.set_level(logging.WARNING)
    async with house() as home, ClientSession() as client:
        await home.gateway()
        for origin in ("https://a.example", "https://b.example") * 3:
            with pytest.raises(WSServerHandshakeError) as refused:
                await client.ws_connect(home.url(), headers={"Origin": origin})
            assert refused.value.status == 403
        async with client.get(home.url(scheme="http"), headers={"Origin": "https://a.example"}) as answer:
            assert "WARREN_GATEWAY_ORIGINS" in await answer.text()
    lines = logged(caplog.records, "upgrade_refused")
    assert [(line["reason"], line["origin"]) for line in lines] == [
        ("origin", "https://a.example"),
        ("origin", "https://b.example"),
    ]
    assert all("WARREN_GATEWAY_ORIGINS" in line["hint"] for line in lines)


async def test_origins_that_are_made_up_do_not_fill_the_log(caplog: pytest.LogCaptureFixture):
    """A bounded number of lines, each of a bounded length, whatever strangers send."""
    caplog.set_level(logging.WARNING)
    async with house() as home, ClientSession() as client:
        await home.gateway()
        for number in range(60):
            with pytest.raises(WSServerHandshakeError):
                await client.ws_connect(home.url(), headers={"Origin": f"https://{number}.{'x' * 2_000}"})
    lines = logged(caplog.records, "upgrade_refused")
    assert len(lines) == 16
    assert all(len(line["origin"]) <= 256 for line in lines)


async def test_a_page_of_the_same_host_connects_by_its_default_port():
    """A proxy may name the port in Host that the browser leaves out of Origin."""
    async with house() as home:
        gateway = await home.gateway()
        for host, origin in ((b"h:443", b"https://h"), (b"h", b"http://h:80")):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(UPGRADE.replace(b"Host: h", b"Host: " + host) + b"Origin: " + origin + b"\r\n\r\n")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 101")
            writer.close()
