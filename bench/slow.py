"""What one slow reader costs the others: the latency of a room's members while one connection of the same
gateway reads nothing.

    python -m bench.slow [--members 100] [--seconds 8] [--rate 100]

One gateway, one router and the broker. A backend sends small messages with a timestamp to a room, and large
ones to a second room with one member; the members of the first room measure how old a message is when it
arrives. In one run, the member of the second room reads everything. In the other, with the same load, it is
in both rooms and its socket is never read. The output, for each policy of the rooms (`disconnect`,
`drop_oldest`, `latest_only`): p50 and p99 of the others without and with a slow reader, and what happened to
it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit

import orjson
import pika
import uvloop

from bench.installation import Installation
from bench.socket_client import SocketClient
from warren.topology import Topology

NAMESPACES = """[{name: feed, pattern: "drop_oldest:*", slow: drop_oldest}, {name: ticker, pattern: "latest_only:*", slow: latest_only}]"""
POLICIES = ("disconnect", "drop_oldest", "latest_only")
SMALL, LARGE = "x" * 200, "x" * 64_000
LARGE_EVERY = 4  # one large message after so many small ones


class Others:
    """The members that read."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self.joined = 0

    def on_text(self, _: SocketClient, data: bytes) -> None:
        if b'"NOTIFICATION"' in data:
            self.ages.append(time.time() - orjson.loads(data)["payload"]["at"])
        elif b'"ref":"j"' in data:
            self.joined += 1


def deaf(url: str, *rooms: str) -> socket.socket:
    """Return a socket that has joined rooms, has a small buffer and is never read."""
    parts = urlsplit(url)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    plain.connect((parts.hostname, parts.port))
    plain.sendall(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for room in rooms:
        payload = orjson.dumps({"type": "JOIN", "room": room})
        plain.sendall(bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
    return plain


async def measure(
    installation: Installation, room: str, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Return p50 and p99 of the members in ms, while a backend sends to the room."""
    others, clients = Others(), []
    for _ in range(arguments.members):
        client = await SocketClient.connect(installation.urls[0], others.on_text)
        client.send(orjson.dumps({"type": "JOIN", "room": room, "id": "j"}))
        clients.append(client)
    while others.joined < arguments.members:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(send, installation.rabbit.url, room, arguments.seconds, arguments.rate)
    expected = arguments.members * int(arguments.seconds * arguments.rate)
    deadline = time.monotonic() + 20
    while len(others.ages) < expected and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    if len(others.ages) != expected:
        raise RuntimeError(f"{expected - len(others.ages)} deliveries are missing")
    for client in clients:
        client.close()
    cuts = statistics.quantiles(others.ages, n=100)
    return cuts[49] * 1_000, cuts[98] * 1_000


def send(url: str, room: str, seconds: float, rate: float) -> None:
    """Send at a steady rate, as a backend does."""
    properties = pika.BasicProperties(content_type="application/json")
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel, began = connection.channel(), time.monotonic()
        for number in range(int(seconds * rate)):
            wait = began + number / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            body = orjson.dumps({"at": time.time(), "text": SMALL})
            channel.basic_publish(Topology().notify, f"room.{room}", body, properties)
            if number % LARGE_EVERY == 0:
                body = orjson.dumps({"text": LARGE})
                channel.basic_publish(Topology().notify, f"room.{room}:large", body, properties)


def fate(plain: socket.socket) -> str:
    """Say what happened to the slow reader."""
    plain.settimeout(2)
    received = bytearray()
    with contextlib.suppress(TimeoutError, ConnectionError):
        while chunk := plain.recv(1 << 16):
            received += chunk
        return "closed: too slow" if b"too_slow" in received else "cut"
    dropped = received.count(b'"DROPPED"')
    return f"still there, told of what was withheld {dropped} time(s)"


async def run(arguments: argparse.Namespace) -> None:
    env = {"WARREN_NAMESPACES": NAMESPACES}
    with Installation(gateways=1, routers=1, env=env) as installation:
        url = installation.urls[0]
        print(f"{arguments.members} members, {arguments.rate:g} messages/s for {arguments.seconds:g} s")
        for policy in POLICIES:
            room = f"{policy}:without"
            reader = await SocketClient.connect(url, lambda _client, _data: None)
            reader.send(orjson.dumps({"type": "JOIN", "room": f"{room}:large"}))
            without = await measure(installation, room, arguments)
            reader.close()
            room = f"{policy}:with"
            plain = deaf(url, room, f"{room}:large")
            with_it = await measure(installation, room, arguments)
            became = await asyncio.to_thread(fate, plain)
            plain.close()
            print(
                f"{policy:12} without: p50 {without[0]:6.2f} p99 {without[1]:6.2f} ms   "
                f"with: p50 {with_it[0]:6.2f} p99 {with_it[1]:6.2f} ms   the slow one: {became}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rate", type=float, default=100)
    uvloop.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
