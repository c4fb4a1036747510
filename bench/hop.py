"""Messages a second, and latency, through the whole path on a real RabbitMQ: batched, and one by one.

    python -m bench.hop [--seconds 10] [--rooms 50] [--senders 50]

Two gateways, two routers and the broker as processes. Each room has one sender on the first gateway and one
member on the second. A sender keeps a window of unacknowledged messages (it sends the next one when an ACK
arrives), so the rate found is what the path can carry. Latency is measured separately, at 200 a second (idle)
and at half of the rate found. "One by one" is the same build with a batch count of 1 in gateways, and the
smallest batches in routers: each entry of a log is one message. Every message is counted: lost, doubled and
out-of-order messages are printed, and any of them makes the command fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
import uvloop

from bench.installation import Installation
from bench.socket_client import OnText, SocketClient

TEXT = "x" * 120
IDLE_PER_S = 200
ONE_BY_ONE = {"WARREN_GATEWAY_BATCH_COUNT": "1", "WARREN_ROUTER_BATCH_BYTES": "1024"}


@dataclass
class Room:
    """One room's sender and member, and what the member has seen."""

    name: str
    sent: int = 0
    acked: int = 0
    seen: int = 0
    wrong: int = 0
    sender: SocketClient | None = None
    member: SocketClient | None = None
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    latencies: list[float] = field(default_factory=list)


@dataclass
class Result:
    """The result of one run."""

    rate: float
    cpu_us: float
    wrong: int
    missing: int
    idle_ms: tuple[float, float]
    half_ms: tuple[float, float]


class Load:
    """Senders on one gateway, members on another."""

    def __init__(self, urls: list[str], rooms: int) -> None:
        self._urls = urls
        self.rooms = [Room(f"bench:{number}") for number in range(rooms)]
        self._window = 0

    async def open(self) -> None:
        for room in self.rooms:
            room.member = await SocketClient.connect(self._urls[1], self._hearing(room, self._on_member))
            room.member.send(orjson.dumps({"type": "JOIN", "room": room.name, "id": "j"}))
            await asyncio.wait_for(room.joined.wait(), 10)
            room.sender = await SocketClient.connect(self._urls[0], self._hearing(room, self._on_sender))

    @staticmethod
    def _hearing(room: Room, hear: Callable[[Room, bytes], None]) -> OnText:
        return lambda _, data: hear(room, data)

    def _on_member(self, room: Room, data: bytes) -> None:
        if b'"type":"CHAT"' not in data:
            if b'"type":"JOINED"' in data and orjson.loads(data)["room"] == room.name:
                room.joined.set()
            return
        message = orjson.loads(data)
        number, at = message["payload"]["n"], message["payload"]["at"]
        room.seen += 1
        if number != room.seen or message["seq"] != room.seen:
            room.wrong += 1
        room.latencies.append(time.monotonic() - at)

    def _on_sender(self, room: Room, data: bytes) -> None:
        if b'"type":"ACK"' in data:
            room.acked += 1
            if room.sent - room.acked < self._window:
                self.send(room)
        elif b'"type":"ERROR"' in data:
            print(data.decode(), file=sys.stderr)
            room.wrong += 1

    def send(self, room: Room) -> None:
        room.sent += 1
        assert room.sender is not None
        room.sender.send(
            orjson.dumps(
                {
                    "type": "CHAT",
                    "room": room.name,
                    "id": str(room.sent),
                    "payload": {"n": room.sent, "at": time.monotonic(), "text": TEXT},
                }
            )
        )

    async def saturate(self, seconds: float, window: int) -> float:
        """Keep the path full; return the messages a second that members see."""
        self._window = window
        before, began = sum(room.seen for room in self.rooms), time.monotonic()
        for room in self.rooms:
            for _ in range(window):
                self.send(room)
        await asyncio.sleep(seconds)
        rate = (sum(room.seen for room in self.rooms) - before) / (time.monotonic() - began)
        self._window = 0
        await self.settle()
        return rate

    async def pace(self, seconds: float, rate: float) -> tuple[float, float]:
        """Send at a fixed rate over all rooms; return p50 and p99 in ms."""
        for room in self.rooms:
            room.latencies.clear()
        began, count = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            while count < elapsed * rate:
                self.send(self.rooms[count % len(self.rooms)])
                count += 1
            await asyncio.sleep(0.001)
        await self.settle()
        latencies = sorted(latency * 1000 for room in self.rooms for latency in room.latencies)
        return statistics.median(latencies), latencies[int(len(latencies) * 0.99)]

    async def settle(self) -> None:
        """Wait until everything that was sent has been seen, or give up on the rest."""
        deadline = time.monotonic() + 20
        while (
            any(room.seen < room.sent or room.acked < room.sent for room in self.rooms)
            and time.monotonic() < deadline
        ):
            await asyncio.sleep(0.02)

    def close(self) -> None:
        for room in self.rooms:
            for client in (room.sender, room.member):
                if client is not None:
                    client.close()


async def measure(installation: Installation, rooms: int, seconds: float, window: int) -> Result:
    load = Load(installation.urls, rooms)
    await load.open()
    await load.saturate(2.0, window)  # warm up
    cpu, seen = installation.cpu_s(), sum(room.seen for room in load.rooms)
    rate = await load.saturate(seconds, window)
    cpu_us = (installation.cpu_s() - cpu) * 1e6 / (sum(room.seen for room in load.rooms) - seen)
    idle = await load.pace(seconds / 2, IDLE_PER_S)
    half = await load.pace(seconds / 2, rate / 2)
    missing = sum(room.sent - room.seen for room in load.rooms)
    wrong = sum(room.wrong for room in load.rooms)
    load.close()
    return Result(rate, cpu_us, wrong, missing, idle, half)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rooms", type=int, default=50)
    parser.add_argument("--window", type=int, default=32, help="messages that each sender keeps under way")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, Result] = {}
    for name, env in {"batched": {}, "one by one": ONE_BY_ONE}.items():
        with Installation(env=env) as installation:
            results[name] = uvloop.run(
                measure(installation, arguments.rooms, arguments.seconds, arguments.window)
            )
    if arguments.json:
        print(json.dumps({name: vars(result) for name, result in results.items()}, indent=2))
    else:
        print(
            f"{'':12} {'messages/s':>11} {'CPU µs/msg':>11} {'p50 idle':>9} {'p99 idle':>9} {'p50 half':>9} {'p99 half':>9}   lost  wrong"
        )
        for name, r in results.items():
            print(
                f"{name:12} {r.rate:11,.0f} {r.cpu_us:11.0f} {r.idle_ms[0]:9.2f} {r.idle_ms[1]:9.2f} {r.half_ms[0]:9.2f} {r.half_ms[1]:9.2f}"
                f" {r.missing:6} {r.wrong:6}"
            )
        ratio = results["batched"].rate / results["one by one"].rate
        print(
            f"batched carries {ratio:.1f} × the messages of one by one (times in ms, end to end: sender's send to member's receipt)"
        )
    return int(any(result.wrong or result.missing for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
