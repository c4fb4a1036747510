"""The load of the failover benchmarks, and the count of what became of every message.

In each of the 16 shards, one room has a sender on the first gateway and a member on the second; each sender
sends a message every 25 ms. The clients follow the protocol: a sender that is told to try again sends the
same message again, and a member that comes back sends its position.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson

from bench.installation import Installation, Process
from bench.socket_client import SocketClient
from warren.address import shard_of

SHARDS = 16
EVERY_S = 0.025
AGAIN_S = 0.1


@dataclass
class Tally:
    """What became of the messages."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    breaks: int = 0  # a JOINED without "recovered", an unexplained seq or epoch
    again: int = 0  # sent again because an ERROR said so

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.disordered or self.breaks)

    def __str__(self) -> str:
        return (
            f"{self.sent} messages: {self.lost} lost, {self.doubled} doubled, {self.disordered} out of order, "
            f"{self.breaks} breaks ({self.again} sent again as told)"
        )


@dataclass
class Room:
    """One shard's room."""

    name: str
    tally: Tally = field(default_factory=Tally)
    got: set[int] = field(default_factory=set)
    newest: int = 0
    epoch: str = ""
    seq: int = 0
    unanswered: dict[str, bytes] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    arrivals: list[tuple[float, float]] = field(default_factory=list)  # (when it arrived, when it was sent)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    recovered: bool = False
    sender: SocketClient | None = None
    member: SocketClient | None = None

    def on_member(self, client: SocketClient, data: bytes) -> None:
        message = orjson.loads(data)
        if client is not self.member or message.get("room") != self.name:
            return
        if message["type"] == "JOINED":
            position = message["payload"]
            self.recovered = position["recovered"]
            if self.epoch and not self.recovered:
                self.tally.breaks += 1
            self.epoch, self.seq = position["epoch"], position["seq"]
            self.joined.set()
        elif message["type"] == "CHAT":
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        number, seq = message["payload"]["n"], message["seq"]
        if number in self.got:  # a repeat says nothing about the order
            self.tally.doubled += 1
            return
        if message["epoch"] != self.epoch or seq != self.seq + 1:
            self.tally.breaks += 1
        elif number < self.newest and number not in self.repeated:
            self.tally.disordered += 1
        self.got.add(number)
        self.newest = max(self.newest, number)
        self.epoch, self.seq = message["epoch"], seq
        self.arrivals.append((time.monotonic(), message["payload"]["at"]))

    def on_sender(self, _: SocketClient, data: bytes) -> None:
        if b'"type":"ACK"' in data:
            self.unanswered.pop(orjson.loads(data)["ref"], None)
        elif b'"type":"ERROR"' in data:
            error = orjson.loads(data)
            ref, payload = error.get("ref"), error["payload"]
            if "close" in payload:
                return  # the connection has ended, which ``say`` reports
            if ref not in self.unanswered or not payload["retry"]:
                raise RuntimeError(f"{self.name}: {payload}")
            after_s = payload.get("retry_after_ms", 1_000 * AGAIN_S) / 1_000
            asyncio.get_running_loop().call_later(after_s, self._say_again, ref)

    def _say_again(self, ref: str) -> None:
        if ref in self.unanswered and self.sender is not None and not self.sender.closed.done():
            self.tally.again += 1
            self.repeated.add(int(ref))
            self.sender.send(self.unanswered[ref])

    def say(self) -> None:
        assert self.sender is not None
        if self.sender.closed.done():
            raise RuntimeError(
                f"the gateway has closed {self.name}'s connection with {self.sender.close_code}"
            )
        self.tally.sent += 1
        ref, payload = str(self.tally.sent), {"n": self.tally.sent, "at": time.monotonic()}
        message = orjson.dumps({"type": "CHAT", "room": self.name, "id": ref, "payload": payload})
        self.unanswered[ref] = message
        self.sender.send(message)

    async def enter(self, url: str) -> float:
        """Connect the member, with its position if it has one; return when its socket was open. ``joined``
        gets the answer.
        """
        self.joined.clear()
        member = await SocketClient.connect(f"{url}?join=manual", self.on_member)
        opened = time.monotonic()
        self.member = member
        since = {"payload": {"since": {"epoch": self.epoch, "seq": self.seq}}} if self.epoch else {}
        member.send(orjson.dumps({"type": "JOIN", "room": self.name, "id": "j", **since}))
        return opened

    def silence(self, began: float) -> float:
        """Return the longest time without an arrival from ``began`` until now."""
        times = [began, *(came for came, _ in self.arrivals if came > began), time.monotonic()]
        return max(after - before for before, after in pairwise(times))

    def first_after(self, began: float) -> float | None:
        """Return when the first message that was sent after ``began`` arrived."""
        return next((came for came, sent in list(self.arrivals) if sent > began), None)


def owned(router: Process) -> list[int]:
    """Return the shards that a router speaks for."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{router.internal_port}/websocket-stats", timeout=2
        ) as answer:
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


class Load:
    """The rooms and their senders."""

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
            await room.enter(self.warren.urls[1])
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

    def forget(self) -> float:
        """Forget the arrivals so far; return the current time."""
        for room in self.rooms:
            room.arrivals.clear()
        return time.monotonic()

    async def through(self, began: float, rooms: list[Room]) -> list[float]:
        """Wait until a message sent after ``began`` has arrived in each of these rooms; return how many
        seconds that took.
        """
        try:
            await until(
                lambda: all(room.first_after(began) for room in rooms), 60, "a message through each shard"
            )
        except RuntimeError as error:
            stuck = [
                f"{room.name} ({len(room.unanswered)} unanswered, {room.tally.sent - len(room.got)} not here)"
                for room in rooms
                if not room.first_after(began)
            ]
            raise RuntimeError(f"{error}; none in {', '.join(stuck)}") from None
        self.check()
        return [came - began for room in rooms if (came := room.first_after(began))]

    def check(self) -> None:
        """Raise what ended the senders, if anything has."""
        if self._speaking is not None and self._speaking.done():
            self._speaking.result()

    async def shared(self) -> None:
        """Wait until every shard has a speaker and the shares are even, then a moment longer."""
        most = -(-SHARDS // len(self.warren.routers))

        def even() -> bool:
            counts = [len(owned(router)) for router in self.warren.routers]
            return sum(counts) == SHARDS and max(counts) <= most

        await until(even, 60, "even shares")
        self.check()
        await asyncio.sleep(1.0)

    async def close(self) -> Tally:
        """Stop the load, wait for messages in flight, and return what became of the messages."""
        assert self._speaking is not None
        self._speaking.cancel()
        await asyncio.gather(self._speaking, return_exceptions=True)
        with_all = time.monotonic() + 20
        while any(len(room.got) < room.tally.sent for room in self.rooms) and time.monotonic() < with_all:
            await asyncio.sleep(0.1)
        for room in self.rooms:
            for client in (room.sender, room.member):
                if client is not None:
                    client.close()
            room.tally.lost = room.tally.sent - len(room.got)
        return sum((room.tally for room in self.rooms), Tally())


def line(name: str, seconds: list[float]) -> str:
    """Format p50 and maximum."""
    if not seconds:
        return f"{name}: nothing measured"
    return f"{name}: p50 {1_000 * statistics.median(seconds):.0f} ms, max {1_000 * max(seconds):.0f} ms, {len(seconds)} rooms"
