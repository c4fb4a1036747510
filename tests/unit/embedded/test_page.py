"""The page's routes: what is served, and what may be published as a backend would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from embedded.page import MAX_BYTES, Page, find_clients
from warren.bus import Delivery, Source
from warren.bus.memory.broker import MemoryBroker
from warren.bus.memory.bus import MemoryBus
from warren.errors import SettingsError
from warren.topology import Topology

ORIGIN = "http://127.0.0.1:8080"
CLIENTS = find_clients(Path(__file__))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Scene:
    """The page on a server, and the notify queue on the other side."""

    def __init__(self, client: TestClient[web.Request, web.Application], bus: MemoryBus) -> None:
        self.client = client
        self.bus = bus
        self.published: asyncio.Queue[Delivery] = asyncio.Queue()

    async def notify(self, body: object, **headers: str) -> tuple[int, dict[str, str]]:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": "application/json", **headers}
        answer = await self.client.post("/demo/notify", data=data, headers=headers)
        return answer.status, await answer.json()


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    topology = Topology(shards=2)
    bus = MemoryBus(MemoryBroker(), topology)
    await bus.start()
    page = Page(CLIENTS, bus, topology, gateways=["127.0.0.1:8080", "127.0.0.1:8081"], origins=[ORIGIN])
    app = web.Application()
    app.add_routes(page.routes())
    async with TestClient(TestServer(app)) as client:
        scene = Scene(client, bus)
        await bus.subscribe(lambda: Source(topology.notify_queue()), scene.published.put_nowait, prefetch=10)
        yield scene
    await bus.close()


async def test_all_that_the_page_needs_is_served(scene: Scene):
    """Whatever the page and its modules name is there, with its type and a policy that lets
    nothing else in.
    """
    for path, kind in {
        "/": "text/html",
        "/demo/app.js": "text/javascript",
        "/demo/style.css": "text/css",
        "/demo/icon.svg": "image/svg+xml",
        "/js/warren.js": "text/javascript",
    }.items():
        answer = await scene.client.get(path)
        assert (path, answer.status, answer.content_type) == (path, 200, kind)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/js/package.json",
        "/js/src/link.ts",
        "/js/test/rooms.test.js",
        "/demo/../js/README.md",
        "/demo/%2e%2e/js/README.md",
    ],
)
async def test_nothing_else_is_served(scene: Scene, path: str):
    """Other files of the checkout can't be had."""
    server = scene.client.server
    async with ClientSession() as raw, raw.get(f"http://{server.host}:{server.port}{path}") as answer:
        assert answer.status == 404


async def test_the_gateways_are_told(scene: Scene):
    """The page learns where the gateways are, and which services it can ask."""
    answer = await scene.client.get("/demo/config.json")
    assert await answer.json() == {
        "gateways": ["127.0.0.1:8080", "127.0.0.1:8081"],
        "services": [],
    }


@pytest.mark.parametrize(
    ("to", "name", "key"),
    [
        ("room", "chat:lobby", "room.chat:lobby"),
        ("user", "ann", "user.ann"),
        ("conn", "g1~a", "conn.g1~a"),
        ("all", "", "all"),
    ],
)
async def test_a_notification_is_published_as_a_backend_would(scene: Scene, to: str, name: str, key: str):
    """The payload goes byte for byte to the notify exchange, with type, id, content type and the page's trace
    context.
    """
    body = b'{"to":"%s","name":"%s","type":"DATA_UPDATE","payload":{"a": 1.0}}' % (to.encode(), name.encode())
    status, answer = await scene.notify(body, Origin=ORIGIN, traceparent=TRACE)
    delivery = await asyncio.wait_for(scene.published.get(), 5)
    assert (status, answer["key"]) == (200, key)
    assert (delivery.routing_key, delivery.body) == (key, b'{"a": 1.0}')
    properties = delivery.properties
    assert (properties.type, properties.content_type) == ("DATA_UPDATE", "application/json")
    assert properties.message_id == answer["id"] != ""
    assert properties.headers == {"traceparent": TRACE}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"{", "truncated"),
        (b"[]", "object"),
        (b'{"to":"all"}', "payload"),
        (b'{"to":"all","payload":nan}', "invalid"),
        (b'{"to":"all","payload":"\xff"}', ""),
        (b'{"to":"all","payload":1,"more":1}', "more"),
        (b'{"to":"world","payload":1}', "room, user, conn, all"),
        (b'{"to":"room","name":"@ann","payload":1}', "'@ann' is no room"),
        (b'{"to":"room","payload":1}', "'' is no room"),
        (b'{"to":"user","name":"a b","payload":1}', "'a b' is no user"),
        (b'{"to":"conn","name":"g1","payload":1}', "'g1' is no conn"),
        (b'{"to":"all","type":"WELCOME","payload":1}', "WELCOME"),
        (b'{"to":"all","type":"a b","payload":1}', "a b"),
    ],
)
async def test_what_is_wrong_is_said_and_not_published(scene: Scene, body: bytes, names: str):
    """A request that no backend should make gets 400 and the reason."""
    status, answer = await scene.notify(body)
    assert status == 400
    assert names in answer["error"]
    assert scene.published.empty()


async def test_foreign_pages_may_not_publish(scene: Scene):
    """A page of another origin is refused, and a body that it could send unasked too."""
    good = {"to": "all", "payload": 1}
    assert (await scene.notify(good, Origin="http://evil.example"))[0] == 403
    assert (await scene.notify(good, **{"Content-Type": "text/plain"}))[0] == 415
    assert scene.published.empty()


async def test_a_body_that_is_too_large_is_refused_unread(scene: Scene):
    """More than the limit is 413."""
    status, answer = await scene.notify(b"x" * (MAX_BYTES + 1))
    assert (status, str(MAX_BYTES) in answer["error"]) == (413, True)


async def test_a_broker_that_is_away_is_said(scene: Scene):
    """Without a broker the form is told 503."""
    scene.bus.broker.cut(scene.bus)
    status, answer = await scene.notify({"to": "all", "payload": 1})
    assert (status, "broker" in answer["error"]) == (503, True)


def test_outside_of_a_checkout_it_says_so(tmp_path: Path):
    """Where there is no clients/ folder, the one problem says what embedded mode needs."""
    with pytest.raises(SettingsError, match="checkout"):
        find_clients(tmp_path / "site-packages" / "embedded" / "app.py")
