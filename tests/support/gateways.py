"""A gateway under test on a memory bus, with the routers that ``router_side.py`` stands for."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.eventually import eventually
from tests.support.router_side import RouterSide
from websockets.asyncio.client import connect as websocket
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from gateway.app import Gateway
from gateway.settings import (
    AuthSettings,
    GatewayProbeSettings,
    GatewaySettings,
    LimitSettings,
    ListenSettings,
    TimeSettings,
)
from warren import envelope
from warren.address import shard_of
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.settings import BusSettings
from warren.telemetry import Tracing
from warren.topology import Topology

SHARDS = 4


class House:
    """One installation in this process: a broker, a router, and gateways."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.topology = Topology(shards=SHARDS)
        self.router = RouterSide(self.broker, self.topology)
        self.gateways: list[Gateway] = []

    async def gateway(self, settings: GatewaySettings | None = None, **options: Any) -> Gateway:
        """Start a gateway and wait until it is ready."""
        gateway = Gateway(
            settings or gateway_settings(),
            MemoryBus(self.broker, self.topology),
            **options,
        )
        self.gateways.append(gateway)
        await gateway.start()
        await eventually(lambda: not gateway.readiness.reasons())
        return gateway

    def url(self, gateway: Gateway | None = None, path: str = "/ws", scheme: str = "ws") -> str:
        """Return an address on a gateway's external port."""
        return f"{scheme}://127.0.0.1:{(gateway or self.gateways[0]).port}{path}"

    def publish(self, room: str, *payloads: str, type: str = "NOTIFICATION", trace: str = "") -> None:  # noqa: A002
        """Send messages as a backend's."""
        for payload in payloads:
            at_us = self.gateways[0].clock.wall_us()
            self.router.publish(envelope.Publish(room, type, payload.encode(), at_us, trace=trace))

    def shard(self, room: str) -> int:
        """Return the shard of a room."""
        return shard_of(room, self.topology.shards)


def gateway_settings(
    *,
    auth: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    times: dict[str, Any] | None = None,
    listen: dict[str, Any] | None = None,
    **own: Any,
) -> GatewaySettings:
    """Return settings for a test: loopback, free ports, anonymous, quick to end, no rate limit unless asked
    for.
    """
    return GatewaySettings(
        auth=AuthSettings(**({"auth": "anonymous"} | (auth or {}))),
        limits=LimitSettings(**({"rate": 0} | (limits or {}))),
        times=TimeSettings(
            **(
                {"drain_ms": 0, "drain_deadline_ms": 2_000, "close_timeout_ms": 300, "grace_ms": 0}
                | (times or {})
            )
        ),
        listen=ListenSettings(**({"host": "127.0.0.1", "port": 0, "echo": True} | (listen or {}))),
        probes=GatewayProbeSettings(internal_host="127.0.0.1", internal_port=0),
        bus=BusSettings(shards=SHARDS),
        **own,
    )


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Open a house with its router; stop everything at the end."""
    built = House()
    await built.router.start()
    try:
        yield built
    finally:
        for gateway in built.gateways:
            await gateway.stop()
        await built.router.stop()


def logged(records: Sequence[Any], name: str) -> list[dict[str, Any]]:
    """Return the fields of the log lines of an event."""
    return [record.warren_fields for record in records if record.getMessage() == name]


def recording_tracing(**env: str) -> tuple[Tracing, Any]:
    """Return a Tracing whose ended spans are kept in memory, and where."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    return Tracing("warren-gateway", env, processor=SimpleSpanProcessor(exporter)), exporter


async def get(url: str) -> tuple[int, Any, dict[str, str]]:
    """Return the status, the body (parsed where it is JSON) and the headers of a GET."""

    def fetch() -> tuple[int, bytes, dict[str, str]]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    status, body, headers = await asyncio.to_thread(fetch)
    return status, json.loads(body) if body[:1] == b"{" else body.decode(), headers


async def upgrade_refusal(url: str, **options: Any) -> tuple[int, str, Headers]:
    """Return how an upgrade was refused."""
    with pytest.raises(InvalidStatus) as caught:
        await websocket(url, proxy=None, **options)
    response = caught.value.response
    return response.status_code, (response.body or b"").decode(), response.headers


async def raw_upgrade(port: int, path: str = "/ws") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the two ends of a socket that has done the upgrade and nothing else."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 101")
    return reader, writer
