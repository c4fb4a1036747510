"""What an event stream costs a gateway beside a WebSocket: memory while idle, and CPU for each delivery.

    python -m bench.event_streams [--idle 3000] [--members 1000] [--messages 200] [--rounds 3] [--rooms 4]

One gateway, one router and the broker, restarted for each figure. Idle: the gateway's RSS before and after the
connections are open and have joined their rooms, divided by their number, and its CPU while they wait.
Deliveries: a backend's notifications to one room with all members, one at a time and all at once; the
connections are in ``--rooms`` rooms, since a stream's ids name them all. The members are in a separate
process and count what they receive. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import cast
from urllib.parse import urlsplit

import pika
import psutil
import uvloop

from bench.installation import Installation
from bench.socket_client import SocketClient
from warren.topology import Topology

ROOM = "bench"
PAYLOAD = b'{"text": "' + b"x" * 150 + b'"}'
MARK = b'xxxxxxxxxx"}'
JOINED = b'"JOINED"'
WARM = 100  # one-time allocations are not part of a connection's cost
KINDS = ("websocket", "sse")


class StreamClient(asyncio.Protocol):
    """One event stream, of which it counts what it is told to; no task, no queue, no parser."""

    def __init__(self, url: str, on_data: Callable[[bytes], None]) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._on_data = on_data
        self._tail = b""
        self.transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, url: str, on_data: Callable[[bytes], None]) -> StreamClient:
        client = cls(url, on_data)
        await asyncio.get_running_loop().create_connection(lambda: client, client.host, client.port)
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        self.transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        # What is counted may come in two pieces: events are counted whole.
        whole = self._tail + data
        end = whole.rfind(b"\n\n")
        self._tail = whole[end + 2 :] if end >= 0 else whole
        if end >= 0:
            self._on_data(whole[: end + 2])

    def close(self) -> None:
        """Close it."""
        if self.transport is not None:
            self.transport.close()


async def open_all(
    url: str, kind: str, count: int, rooms: int, got: Callable[[int], None]
) -> list[SocketClient | StreamClient]:
    """Open connections and return when each has joined all its rooms; ``got`` counts notifications."""
    joined = 0

    def on_data(data: bytes) -> None:
        nonlocal joined
        joined += data.count(JOINED)
        got(data.count(MARK))

    names = [ROOM, *(f"{ROOM}:{number}" for number in range(rooms - 3))]  # beside default and its own
    clients: list[SocketClient | StreamClient] = []
    for _ in range(count):
        if kind == "sse":
            query = "&".join(f"room={name}" for name in names)
            address = url.replace("ws://", "http://").removesuffix("/ws") + f"/sse?{query}"
            clients.append(await StreamClient.connect(address, on_data))
            continue
        client = await SocketClient.connect(url, lambda _, data: on_data(data))
        for name in names:
            client.send(f'{{"type":"JOIN","room":"{name}"}}'.encode())
        clients.append(client)
    deadline = time.monotonic() + 120
    while joined < count * (len(names) + 2):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count * (len(names) + 2) - joined} rooms were not joined")
        await asyncio.sleep(0.05)
    return clients


async def idle(kind: str, count: int, rooms: int, seconds: float) -> tuple[float, float]:
    """Return KiB for each connection, and CPU µs for each connection and second."""
    with Installation(gateways=1, routers=1) as installation:
        gateway, url = installation.gateways[0], installation.urls[0]
        clients = await open_all(url, kind, WARM, rooms, lambda _: None)
        before = gateway.rss_bytes()
        clients += await open_all(url, kind, count, rooms, lambda _: None)
        await asyncio.sleep(2)
        used, cpu_s = gateway.rss_bytes() - before, gateway.cpu_s()
        await asyncio.sleep(seconds)
        cpu_us = (gateway.cpu_s() - cpu_s) * 1e6 / seconds / (count + WARM)
        for client in clients:
            client.close()
        return used / count / 1024, cpu_us


def members(url: str, kind: str, count: int, rooms: int, pipe: Connection) -> None:
    """A process with the members; it reports how many notifications they have received when it is asked."""

    async def run() -> None:
        total = 0

        def got(count: int) -> None:
            nonlocal total
            total += count

        await open_all(url, kind, count, rooms, got)
        pipe.send("ready")
        while True:
            while not pipe.poll():
                await asyncio.sleep(0.002)
            if pipe.recv() == "end":
                return
            pipe.send(total)

    uvloop.run(run())


def deliveries(kind: str, count: int, rooms: int, messages: int, rounds: int) -> tuple[float, float]:
    """Return the CPU of the gateway for each delivery in µs, one at a time and in a burst."""
    context = multiprocessing.get_context("spawn")
    with Installation(gateways=1, routers=1) as installation:
        pipe, theirs = context.Pipe()
        process = context.Process(
            target=members, args=(installation.urls[0], kind, count, rooms, theirs), daemon=True
        )
        process.start()
        if not pipe.poll(180) or pipe.recv() != "ready":
            raise RuntimeError("the members did not come")
        gateway = psutil.Process(installation.gateways[0].child.pid)

        def cpu() -> float:
            times = gateway.cpu_times()
            return times.user + times.system

        def received() -> int:
            pipe.send("got")
            return int(pipe.recv())

        def wait(expected: int) -> None:
            deadline = time.monotonic() + 120
            while received() < expected:
                if time.monotonic() > deadline:
                    raise RuntimeError("deliveries are missing")
                time.sleep(0.005)

        with pika.BlockingConnection(pika.URLParameters(installation.rabbit.url)) as connection:
            channel = connection.channel()
            properties = pika.BasicProperties(content_type="application/json")

            def publish(number: int) -> None:
                for _ in range(number):
                    channel.basic_publish(Topology().notify, f"room.{ROOM}", PAYLOAD, properties)

            def measure(at_once: int) -> float:
                figures = []
                for _ in range(rounds):
                    began, used = received(), cpu()
                    for number in range(0, messages, at_once):
                        publish(at_once)
                        wait(began + (number + at_once) * count)
                    figures.append((cpu() - used) * 1e6 / (messages * count))
                return statistics.median(figures)

            single, burst = measure(1), measure(messages)
        pipe.send("end")
        process.join(10)
        return single, burst


def main() -> int:
    """Print a line for each figure, and each kind of connection."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--idle", type=int, default=3000)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rooms", type=int, default=4)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(options.idle + 1000, hard), hard))
    print(f"{options.rooms} rooms a connection; medians of {options.rounds}")
    for kind in KINDS:
        runs = [uvloop.run(idle(kind, options.idle, options.rooms, 5.0)) for _ in range(options.rounds)]
        kib, cpu_us = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"{kind:10} idle      {kib:6.1f} KiB a connection, {cpu_us:.1f} µs of CPU a second", flush=True)
    for kind in KINDS:
        single, burst = deliveries(kind, options.members, options.rooms, options.messages, options.rounds)
        print(f"{kind:10} delivery  {single:6.2f} µs one at a time, {burst:.2f} µs in a burst", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
