"""A gateway under test on a memory bus, and a router that is no more than a table: what it is sent and what it answers is all plain.

The router here gives seqs and membership and keeps nothing else; tests switch its answers off, or speak in its name.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.support.eventually import eventually
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
from warren.address import gateway_of, shard_of
from warren.bus import Delivery, Source
from warren.bus.memory import MemoryBroker, MemoryBus
from warren.envelope import Envelope
from warren.position import Position
from warren.telemetry import Tracing
from warren.topology import ALL, Topology

SHARDS = 4


class PlainRouter:
    """Owns every shard under one term, numbers messages, keeps them all, and sends each to the gateways that have members."""

    def __init__(self, broker: MemoryBroker, topology: Topology) -> None:
        self.topology = topology
        self.bus = MemoryBus(broker, topology)
        self.term = 1
        self.epoch = "1-0"
        self.members: dict[str, dict[str, str]] = {}
        self.seqs: dict[str, int] = {}
        self.kept: dict[str, list[envelope.Deliver]] = {}  # the numbered messages of each room
        self.acked: dict[tuple[str, str, str], tuple[str, int]] = {}
        self.forgets = False  # what came before can't be had any more
        self.loses = False  # what is delivered now is kept but never arrives
        self.asks = True  # whoever announces itself unasked is asked
        self.received: list[Envelope] = []  # from the shards, in order
        self.inbox: list[Envelope] = []
        self.answers = True
        self._out: asyncio.Queue[tuple[str, list[Envelope]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.bus.start()
        for shard in range(self.topology.shards):
            queue = self.topology.shard_queue(shard)
            await self.bus.subscribe(lambda queue=queue: Source(queue), self._take, prefetch=100)
        queue, bindings = self.topology.router_queue("plain", "1")
        await self.bus.subscribe(lambda: Source(queue, bindings), self._hear, prefetch=100)
        self._task = asyncio.create_task(self._send())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.bus.close()

    def tell(self, key: str, *envelopes: Envelope) -> None:
        """Send something in one batch to a gateway (or all)."""
        self._out.put_nowait((key, list(envelopes)))

    def of(self, kind: type[Any], **fields: Any) -> list[Any]:
        """Return what came of a kind with these fields, in order."""
        return [
            item
            for item in (*self.received, *self.inbox)
            if isinstance(item, kind) and all(getattr(item, name) == value for name, value in fields.items())
        ]

    def _hear(self, delivery: Delivery) -> None:
        for item in envelope.decode(delivery.body):
            self.inbox.append(item)
            if isinstance(item, envelope.Announce) and self.answers:
                self._announced(item)
        delivery.ack()

    def _announced(self, item: envelope.Announce) -> None:
        """Ask who tells unasked; send what an answer shows to be lacking."""
        if not item.ref:
            if self.asks:
                self.tell(item.gateway, envelope.Ask("plain", item.shard, self.term, 1))
            return
        for room in item.rooms:
            for conn, user in room.members:
                self.members.setdefault(room.room, {})[conn] = user
            self._resume(item.gateway, room.room, room.position)

    def _resume(self, gateway: str, room: str, position: Position | None) -> None:
        missed = None if position is None else self.since(room, position)
        if missed is None:
            self.tell(gateway, envelope.Resync(room, Position(self.epoch, self.seqs.get(room, 0)), self.term))
        elif missed:
            self.tell(gateway, *missed)

    def since(self, room: str, position: Position) -> list[envelope.Deliver] | None:
        """Return what came after a position; None where that is not known."""
        current = self.seqs.get(room, 0)
        if position.epoch != self.epoch or position.seq > current or (self.forgets and position.seq < current):
            return None
        kept = [one for one in self.kept.get(room, []) if one.epoch == self.epoch and one.seq > position.seq]
        return [msgspec.structs.replace(one, term=self.term) for one in kept]

    def _take(self, delivery: Delivery) -> None:
        for item in envelope.decode(delivery.body):
            self.received.append(item)
            if self.answers:
                self._apply(item)
        delivery.ack()

    def _apply(self, item: Envelope) -> None:
        match item:
            case envelope.Join():
                self.members.setdefault(item.room, {})[item.conn] = item.user
                missed = None if item.since is None else self.since(item.room, item.since)
                if item.since is None or missed is None:
                    position, recovered = Position(self.epoch, self.seqs.get(item.room, 0)), False
                else:
                    position, recovered = item.since, True
                count = len(missed or ())
                joined = envelope.Joined(item.conn, item.room, position, recovered, count, item.ref, self.term)
                caught_up = [msgspec.structs.replace(one, to=item.conn) for one in missed or ()]
                self.tell(gateway_of(item.conn), joined, *([] if self.loses else caught_up))
            case envelope.Resume():
                self._resume(item.gateway, item.room, item.position)
            case envelope.HistoryQuery():
                older = [one for one in self.kept.get(item.room, []) if not item.before or one.seq < item.before]
                page = tuple(older[-item.limit :])
                answer = envelope.HistoryPage(item.conn, item.room, item.ref, page, len(older) > len(page), self.term)
                self.tell(gateway_of(item.conn), answer)
            case envelope.Leave():
                for room in item.rooms:
                    self.members.get(room, {}).pop(item.conn, None)
                    if item.ref:
                        self.tell(gateway_of(item.conn), envelope.Left(item.conn, room, item.ref, self.term))
            case envelope.Publish():
                self.deliver(item)

    def deliver(self, item: envelope.Publish) -> None:
        """Number a message, acknowledge it, and send it on."""
        key = (item.room, item.user, item.id)
        if item.id and key in self.acked:
            self.tell(gateway_of(item.conn), envelope.Ack(item.conn, item.room, item.id, *self.acked[key], self.term))
            return
        numbered = not item.ephemeral and "~" not in item.room
        seq = self.seqs[item.room] = self.seqs.get(item.room, 0) + 1 if numbered else self.seqs.get(item.room, 0)
        epoch, seq = (self.epoch, seq) if numbered else ("", 0)
        if item.id:
            self.acked[key] = (epoch, seq)
        if item.id[:1] not in ("", "~") and item.conn:
            ack = envelope.Ack(item.conn, item.room, item.id, epoch, seq, self.term)
            self.tell(gateway_of(item.conn), ack)
        message = envelope.Deliver(
            item.room, epoch, seq, item.type, item.payload, item.at_us, self.term, item.conn, item.user, item.id,
            item.binary, item.include_sender, item.key, item.expires_ms, item.trace,
        )  # fmt: skip
        if numbered:
            self.kept.setdefault(item.room, []).append(message)
        if self.loses:
            return
        if item.room == "*":
            self.tell(ALL, message)
        elif "~" in item.room:
            self.tell(gateway_of(item.room), message)
        else:
            for gateway in sorted({gateway_of(conn) for conn in self.members.get(item.room, {})}):
                self.tell(gateway, message)

    async def _send(self) -> None:
        while True:
            key, envelopes = await self._out.get()
            await self.bus.publish(self.topology.egress, key, envelope.encode(envelopes))


class House:
    """One installation in this process: a broker, a plain router, and gateways."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.topology = Topology(shards=SHARDS)
        self.router = PlainRouter(self.broker, self.topology)
        self.gateways: list[Gateway] = []

    async def gateway(self, settings: GatewaySettings | None = None, **options: Any) -> Gateway:
        """Start a gateway and wait until it is ready."""
        gateway = Gateway(
            settings or gateway_settings(), MemoryBus(self.broker, self.topology), topology=self.topology, **options
        )
        self.gateways.append(gateway)
        await gateway.start()
        await eventually(lambda: not gateway.readiness.reasons())
        return gateway

    def url(self, gateway: Gateway | None = None, path: str = "/ws", scheme: str = "ws") -> str:
        """Return an address on a gateway's external port."""
        return f"{scheme}://127.0.0.1:{(gateway or self.gateways[0]).port}{path}"

    def publish(self, room: str, *payloads: str, type: str = "NOTIFICATION", trace: str = "") -> None:  # noqa: A002
        """Deliver messages as a backend's."""
        for payload in payloads:
            at_us = self.gateways[0].clock.wall_us()
            self.router.deliver(envelope.Publish(room, type, payload.encode(), at_us, trace=trace))

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
    """Return settings for a test: loopback, free ports, anonymous, quick to end, no rate limit unless asked for."""
    return GatewaySettings(
        auth=AuthSettings(**({"auth": "anonymous"} | (auth or {}))),
        limits=LimitSettings(**({"rate": 0} | (limits or {}))),
        times=TimeSettings(**({"drain_ms": 0, "drain_deadline_ms": 2_000, "close_timeout_ms": 300} | (times or {}))),
        listen=ListenSettings(**({"host": "127.0.0.1", "port": 0, "echo": True} | (listen or {}))),
        probes=GatewayProbeSettings(internal_host="127.0.0.1", internal_port=0),
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
