"""Well-behaved clients: each pings, and sends messages to a shared room within its rate. A process that uses
the clock that all processes share.

    python -m bench.attack.victims URL TOKEN…

It prints "ready" once all clients are in the room, runs until its standard input ends, and then prints all
measurements as JSON. A ping or message that was never answered is reported with the time it has waited. A
client that is closed reconnects at once, as a real one would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import Any

import orjson
import uvloop

from bench.attack.figures import Sample
from bench.attack.plans import ROOM
from bench.socket_client import PING, SocketClient

PING_EVERY_S = 0.05
CHAT_EVERY_S = 0.25  # four a second: within the five that a connection may send by default
COMES_BACK_S = 0.05
TEXT = "x" * 100


class Client(SocketClient):
    """One connection of one victim."""

    victim: Victim

    def ponged(self, payload: bytes) -> None:
        self.victim.ponged(payload)


class Victim:
    """One well-behaved client, across its connections."""

    def __init__(self, url: str, token: str, number: int) -> None:
        self._url, self._token, self._number = url, token, number
        self._pings: dict[bytes, float] = {}
        self._chats: dict[str, float] = {}
        self._count = 0
        self.joined = asyncio.Event()
        self.samples: list[Sample] = []
        self.closes: list[tuple[float, int]] = []
        self.heard = 0
        self._client: Client | None = None

    async def live(self) -> None:
        """Connect, join, ping and send; again when the connection ends."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(ConnectionError, OSError):
                await self._once()
            self.closes.append((time.monotonic(), self._client.close_code if self._client else 0))
            await asyncio.sleep(max(COMES_BACK_S, began + COMES_BACK_S - time.monotonic()))

    async def _once(self) -> None:
        self._client = None
        offers = f"warren.v1, bearer.{self._token}"
        client = Client(self._url, self._heard, subprotocol=offers)
        client.victim = self
        await asyncio.get_running_loop().create_connection(lambda: client, client.host, client.port)
        await client.opened
        self._client = client
        client.send(orjson.dumps({"type": "JOIN", "room": ROOM, "id": "join"}))
        tasks = [asyncio.ensure_future(self._ping(client)), asyncio.ensure_future(self._speak(client))]
        try:
            await client.closed
        finally:
            for task in tasks:
                task.cancel()
            self._forget()

    def _forget(self) -> None:
        """Drop what was not answered before the connection ended: it never will be."""
        now = time.monotonic()
        for kind, waiting in (("ping", self._pings), ("ack", self._chats)):
            self.samples += [Sample(kind, at, now - at, answered=False) for at in waiting.values()]
        self._pings.clear()
        self._chats.clear()

    async def _ping(self, client: Client) -> None:
        due = time.monotonic() + self._number * PING_EVERY_S / 4
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._count += 1
            name = b"%d" % self._count
            self._pings[name] = due  # the time at which it was due, so that late sending counts, too
            client.send(name, PING)
            due = max(due + PING_EVERY_S, time.monotonic())

    async def _speak(self, client: Client) -> None:
        await self.joined.wait()
        due = time.monotonic() + self._number * CHAT_EVERY_S / 4
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._count += 1
            name = f"{self._number}.{self._count}"
            self._chats[name] = due
            client.send(orjson.dumps({"type": "CHAT", "room": ROOM, "id": name, "payload": {"text": TEXT}}))
            due += CHAT_EVERY_S
            # never faster than allowed, also after a pause
            due = max(due, time.monotonic() + CHAT_EVERY_S / 2)

    def ponged(self, payload: bytes) -> None:
        """Handle a pong: it answers its ping and those before it (RFC 6455 section 5.5.3)."""
        now = time.monotonic()
        if payload not in self._pings:
            return
        for name in list(self._pings):
            at = self._pings.pop(name)
            self.samples.append(Sample("ping", at, now - at, answered=True))
            if name == payload:
                return

    def _heard(self, client: SocketClient, data: bytes) -> None:
        if b'"type":"ACK"' in data:
            now, ref = time.monotonic(), orjson.loads(data).get("ref")
            at = self._chats.pop(ref, None)
            if at is not None:
                self.samples.append(Sample("ack", at, now - at, answered=True))
        elif b'"type":"JOINED"' in data and b'"ref":"join"' in data:
            self.joined.set()
        elif b'"type":"CHAT"' in data:
            self.heard += 1

    def report(self) -> dict[str, Any]:
        """Return all that was measured."""
        self._forget()
        return {"samples": self.samples, "closes": self.closes, "heard": self.heard}


async def run(url: str, tokens: list[str]) -> None:
    victims = [Victim(url, token, number) for number, token in enumerate(tokens)]
    lives = [asyncio.ensure_future(victim.live()) for victim in victims]
    await asyncio.gather(*(victim.joined.wait() for victim in victims))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    print(
        json.dumps({"victims": [victim.report() for victim in victims], "cpu_s": time.process_time()}),
        flush=True,
    )


if __name__ == "__main__":
    with contextlib.suppress(
        OSError
    ):  # if the system allows it: a busy machine must not be mistaken for a slow gateway
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    uvloop.run(run(sys.argv[1], sys.argv[2:]))
