"""How long nothing goes through a router's shards when it is killed, and when it leaves in order.

    python -m bench.failover [--kills 5] [--leaves 5] [--routers 2]

Two gateways, some routers and the broker as processes. In each of the 16 shards one room has a sender on the first gateway and a member on the second; each sender
says something every 25 ms. A router is killed (SIGKILL), or told to go (SIGTERM), and started again, several times. For each of its shards is measured:

* killed: from the SIGKILL to the first message that was sent after it and reached the member;
* in order: the longest silence at the member from the SIGTERM until the router has gone.

Every message is counted: lost, doubled and out of order are printed, and any of them fails the command.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import orjson
import uvloop

from bench.installation import Installation, Process
from bench.socket_client import SocketClient
from warren.address import shard_of

SHARDS = 16
EVERY_S = 0.025


@dataclass
class Room:
    """One shard's room."""

    name: str
    sent: int = 0
    seen: int = 0
    wrong: int = 0
    acked: set[str] = field(default_factory=set)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    arrivals: list[tuple[float, float]] = field(default_factory=list)  # (when it came, when it was sent)
    sender: SocketClient | None = None
    member: SocketClient | None = None

    def on_member(self, _: SocketClient, data: bytes) -> None:
        message = orjson.loads(data)
        if message["type"] == "JOINED" and message["room"] == self.name:
            if self.joined.is_set():
                self.wrong += 1  # a break in the continuity
            self.joined.set()
        if message["type"] != "CHAT":
            return
        self.seen += 1
        if message["payload"]["n"] != self.seen or message["seq"] != self.seen:
            self.wrong += 1
            self.seen = message["payload"]["n"]
        self.arrivals.append((time.monotonic(), message["payload"]["at"]))

    def on_sender(self, _: SocketClient, data: bytes) -> None:
        if b'"type":"ACK"' in data:
            self.acked.add(orjson.loads(data)["ref"])

    def say(self) -> None:
        assert self.sender is not None
        if self.sender.closed.done():
            raise RuntimeError(f"the gateway has closed {self.name}'s connection with {self.sender.close_code}")
        self.sent += 1
        payload = {"n": self.sent, "at": time.monotonic()}
        self.sender.send(orjson.dumps({"type": "CHAT", "room": self.name, "id": str(self.sent), "payload": payload}))


def owned(router: Process) -> list[int]:
    """Return the shards that a router has live."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{router.internal_port}/websocket-stats", timeout=2) as answer:
            shards: list[int] = json.load(answer)["router"]["shards"]
    except OSError:
        return []
    return shards


async def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {timeout_s:.0f} s: {what}")
        await asyncio.sleep(0.05)


class Failover:
    """The load, and what is done to the routers."""

    def __init__(self, warren: Installation) -> None:
        self.warren = warren
        names: dict[int, str] = {}
        number = 0
        while len(names) < SHARDS:
            names.setdefault(shard_of(f"bench:{number}", SHARDS), f"bench:{number}")
            number += 1
        self.rooms = [Room(names[shard]) for shard in range(SHARDS)]
        self._speaking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        for room in self.rooms:
            room.member = await SocketClient.connect(self.warren.urls[1], room.on_member)
            room.member.send(orjson.dumps({"type": "JOIN", "room": room.name, "id": "j"}))
            await asyncio.wait_for(room.joined.wait(), 20)
            room.sender = await SocketClient.connect(self.warren.urls[0], room.on_sender)
        self._speaking = asyncio.create_task(self._speak())
        await self.shared()

    async def _speak(self) -> None:
        due = time.monotonic()
        while True:
            for room in self.rooms:
                room.say()
            due += EVERY_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _check(self) -> None:
        """Raise what ended the speaking, if it has ended."""
        if self._speaking is not None and self._speaking.done():
            self._speaking.result()

    async def shared(self) -> None:
        """Wait until every shard is live and the shares are even, then a moment longer."""
        most = -(-SHARDS // len(self.warren.routers))

        def even() -> bool:
            counts = [len(owned(router)) for router in self.warren.routers]
            return sum(counts) == SHARDS and max(counts) <= most

        await until(even, 60, "even shares")
        self._check()
        await asyncio.sleep(1.0)

    async def kill(self) -> list[float]:
        """Kill a router; return the seconds for each of its shards."""
        victim = self.warren.routers.pop(0)
        shards = await asyncio.to_thread(owned, victim)
        rooms = [self.rooms[shard] for shard in shards]
        for room in rooms:
            room.arrivals.clear()
        began = time.monotonic()
        victim.child.send(signal.SIGKILL)

        def through() -> bool:
            return all(any(sent > began for _, sent in list(room.arrivals)) for room in rooms)

        await until(through, 60, "a message through each shard")
        took = [next(came for came, sent in room.arrivals if sent > began) - began for room in rooms]
        await self._another()
        return took

    async def leave(self) -> tuple[list[float], float, int]:
        """Let a router go in order; return the longest silence of each of its shards, how long it took to go, and how many shards it had."""
        victim = self.warren.routers.pop(0)
        shards = await asyncio.to_thread(owned, victim)
        rooms = [self.rooms[shard] for shard in shards]
        for room in rooms:
            room.arrivals.clear()
        began = time.monotonic()
        victim.child.send(signal.SIGTERM)
        await until(lambda: not victim.child.running, 30, "the end of the router")
        took = time.monotonic() - began
        await asyncio.sleep(1.0)
        silences = []
        for room in rooms:
            times = [began, *(came for came, _ in room.arrivals)]
            silences.append(max((after - before for before, after in pairwise(times)), default=float("inf")))
        await self._another()
        return silences, took, len(shards)

    async def _another(self) -> None:
        process = self.warren.start_router()
        await asyncio.to_thread(process.wait_ready)
        await self.shared()

    async def close(self) -> tuple[int, int, int]:
        """End the load; return how many messages were sent, how many never came, and how many came wrong or with a break."""
        assert self._speaking is not None
        self._speaking.cancel()
        await asyncio.gather(self._speaking, return_exceptions=True)
        with_all = asyncio.get_running_loop().time() + 20
        while any(room.seen < room.sent for room in self.rooms) and asyncio.get_running_loop().time() < with_all:
            await asyncio.sleep(0.1)
        for room in self.rooms:
            for client in (room.sender, room.member):
                if client is not None:
                    client.close()
        sent = sum(room.sent for room in self.rooms)
        return sent, sum(room.sent - room.seen for room in self.rooms), sum(room.wrong for room in self.rooms)


def line(name: str, seconds: list[float]) -> str:
    """Say p50 and maximum."""
    return f"{name}: p50 {1_000 * statistics.median(seconds):.0f} ms, max {1_000 * max(seconds):.0f} ms, {len(seconds)} shards"


async def run(kills: int, leaves: int, routers: int) -> int:
    with Installation(gateways=2, routers=routers, env={"WARREN_LOG_LEVEL": "info"}) as warren:
        failover = Failover(warren)
        await failover.open()
        killed: list[float] = []
        for number in range(kills):
            took = await failover.kill()
            killed += took
            print(line(f"kill {number + 1}", took), flush=True)
        silences: list[float] = []
        per_shard: list[float] = []
        for number in range(leaves):
            quiet, took_s, shards = await failover.leave()
            silences += quiet
            per_shard.append(took_s / max(1, shards))
            print(f"{line(f'leave {number + 1}', quiet)}; gone after {1_000 * took_s:.0f} ms", flush=True)
        sent, missing, wrong = await failover.close()
    print()
    if killed:
        print(line("SIGKILL to the first message again", killed) + " (aim: p50 under 2 s, max under 5 s)")
    if silences:
        print(line("in order, the longest silence of a shard", silences) + " (aim: under 200 ms)")
        print(f"in order, the time to leave: {1_000 * statistics.mean(per_shard):.0f} ms a shard")
    print(f"{sent} messages: {missing} lost, {wrong} doubled, out of order or with a break")
    return 1 if missing or wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--leaves", type=int, default=5)
    parser.add_argument("--routers", type=int, default=2)
    options = parser.parse_args()
    return uvloop.run(run(options.kills, options.leaves, options.routers))


if __name__ == "__main__":
    sys.exit(main())
