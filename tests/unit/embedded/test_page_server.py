"""The page in a process of its own: what it serves, and what it says of wrong arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.ports import free_port

from embedded.page import find_clients
from embedded.page_server import USAGE, PageServer, main
from warren.bus import Source
from warren.bus.memory.broker import MemoryBroker
from warren.bus.memory.bus import MemoryBus
from warren.topology import Topology


async def test_it_serves_the_page_and_publishes():
    """The page knows the gateways, may ask them over HTTP, and its form publishes from its own
    origin alone.
    """
    topology = Topology(shards=2)
    broker = MemoryBroker()
    port = free_port()
    server = PageServer(
        find_clients(Path(__file__)),
        MemoryBus(broker, topology),
        topology,
        port,
        ["127.0.0.1:1", "127.0.0.1:2"],
    )
    backend = MemoryBus(broker, topology)
    await backend.start()
    published: list[str] = []
    await backend.subscribe(
        lambda: Source(topology.notify_queue()),
        lambda delivery: published.append(delivery.routing_key),
        prefetch=10,
    )
    await server.start()
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/") as answer:
                assert answer.status == 200
                assert "http://127.0.0.1:1 http://127.0.0.1:2;" in answer.headers["Content-Security-Policy"]
            async with session.get("/demo/config.json") as answer:
                assert await answer.json() == {
                    "gateways": ["127.0.0.1:1", "127.0.0.1:2"],
                    "services": ["echo"],
                }
            body = {"to": "room", "name": "chat:a", "payload": 1}
            for origin, status in ((f"http://127.0.0.1:{port}", 200), ("http://evil.example", 403)):
                async with session.post("/demo/notify", json=body, headers={"Origin": origin}) as answer:
                    assert answer.status == status
    finally:
        await server.stop()
        await backend.close()
    assert published == ["room.chat:a"]


@pytest.mark.parametrize(
    "arguments", [[], ["8082"], ["x", "h:1"], ["0", "h:1"], ["65536", "h:1"], ["²", "h:1"]]
)
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    """The usage, and 2."""
    assert main(arguments) == 2
    assert capsys.readouterr().err == USAGE


def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A line with the variable's name, and 2."""
    monkeypatch.setenv("WARREN_SHARDS", "none")
    assert main(["8082", "127.0.0.1:8080"]) == 2
    assert "WARREN_SHARDS" in capsys.readouterr().err
