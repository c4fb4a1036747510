"""The reference client's link: one connection after the other, with back-off, tokens, heartbeats, and a queue
that keeps to the rate. It knows no rooms.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from tests.conformance_kit.memory_network import Refused, WireClosed
from tests.conformance_kit.reference_checks import readable

from warren_conformance.codec import MSGPACK, Frame, Unreadable, decode, encode

STAYS_AWAY = {1000, 1002, 4003, 4006, 4007}
FRESH_TOKEN = 4001
STABLE_S = 5.0
SOON_S = 0.001


class Wire(Protocol):
    """The client's end of a WebSocket."""

    subprotocol: str

    async def send(self, data: str | bytes) -> None: ...
    async def receive(self) -> str | bytes: ...
    async def close(self, code: int) -> None: ...


@dataclass
class World:
    """What the client needs of its surroundings."""

    dial: Callable[[str, str, tuple[str, ...]], Awaitable[Wire]]
    tell: Callable[..., None]
    wall: Callable[[], float]
    chance: random.Random
    faults: frozenset[str] = frozenset()


class Owner(Protocol):
    """Whose link it is."""

    def welcomed(self, payload: dict[str, Any]) -> None: ...
    def heard(self, frame: Frame) -> None: ...
    def lost(self) -> None: ...


@dataclass
class Ending:
    """How a connection ended, and what the server said of it."""

    code: int = 1006
    advice: str | None = None
    after_s: float = 0.0
    moving: bool = False


@dataclass
class Link:
    """Connects and stays connected."""

    world: World
    owner: Owner
    times: dict[str, int]
    url: str
    user: str | None
    protocol: str
    tokens: bool
    grant: str | None = None
    token: str | None = None
    token_given: asyncio.Future[str] | None = None
    is_open: bool = False
    has_been_open: bool = False
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    queue: deque[Frame] = field(default_factory=deque)
    limits: dict[str, int] = field(default_factory=dict)
    ending: Ending = field(default_factory=Ending)
    wire: Wire | None = None
    _tries: int = 0
    _heard_at: float = 0.0
    _sent: deque[float] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def has(self, fault: str) -> bool:
        return fault in self.world.faults

    def seconds(self, name: str) -> float:
        return self.times[name] / 1_000

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def send(self, frame: Frame) -> None:
        """Send when the rate allows it."""
        self.queue.append(frame)
        self._news.set()

    def spawn(self, what: Awaitable[None]) -> asyncio.Task[None]:
        """Run something until the connection ends."""
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        return task

    # ── connections ──

    async def live(self) -> None:
        """Connect, again and again, until there is a reason not to."""
        self.flowing.set()
        while not self.closed or self.has("comes_back_after_close"):
            self.ending = Ending()
            opened_at = self.now()
            await self._connect()
            ending = self.ending
            for task in self._tasks:
                task.cancel()
            self._tasks.clear()
            self.is_open = False
            self.queue.clear()
            self.owner.lost()
            if (self.closed or not ending.moving) and self._is_final(ending):
                break
            if self.now() - opened_at >= STABLE_S or self.has("welcome_ends_the_backoff"):
                self._tries = 0
            await asyncio.sleep(self._delay(ending))
        self.closed = True
        self.world.tell("state", state="closed")

    def _is_final(self, ending: Ending) -> bool:
        code = ending.code
        if self.closed:
            return not self.has("comes_back_after_close")
        if code == FRESH_TOKEN:
            if not self.has("shows_the_old_token"):
                self.token = None
            if not self.has("keeps_its_grant_after_4001"):
                self.grant = None
            return not self.tokens
        if self.has(f"returns_after_{code}"):
            return False
        return (
            code in STAYS_AWAY
            or self.has(f"stays_away_after_{code}")
            or (self.has("gives_up") and not self.has_been_open)
        )

    def _delay(self, ending: Ending) -> float:
        if ending.moving:
            return 0.0
        if self.has("tight_loop"):
            return SOON_S
        after = 0.0 if self.has("ignores_retry_after_of_close") else ending.after_s
        most = min(self.seconds("backoff_cap_ms"), self.seconds("backoff_ms") * 2**self._tries)
        self._tries += 1
        return after + (most if self.has("no_jitter") else self.world.chance.random() * most)

    async def _connect(self) -> None:
        try:
            if self.tokens and self.token is None:
                self.token = await self._fresh_token()
            self.has_been_open = False
            self.wire = await self.world.dial(self.url, self._query(), self._subprotocols())
        except Refused:
            return
        self.has_been_open = True
        most = None if self.has("waits_for_welcome_forever") else self.seconds("welcome_ms")
        try:
            async with asyncio.timeout(most):
                while not self.is_open:
                    await self._read(self.wire)
            while True:
                await self.flowing.wait()
                await self._read(self.wire)
        except WireClosed as closed:
            if not self.ending.moving:
                self.ending.code = closed.code
        except TimeoutError:
            await self.wire.close(4000)

    def _query(self) -> str:
        manual = self.limits and not self.has("forgets_manual")
        return "&".join(([f"user={self.user}"] if self.user else []) + (["join=manual"] if manual else []))

    def _subprotocols(self) -> tuple[str, ...]:
        found = ["chat.v2" if self.has("offers_unknown_subprotocols") else self.protocol]
        if self.token is not None and not self.has("shows_no_token"):
            found.append(f"bearer.{self.token}")
        if self.grant is not None:
            found.append(f"grant.{self.grant}")
        return tuple(found)

    async def _fresh_token(self) -> str:
        self.token_given = asyncio.get_running_loop().create_future()
        self.world.tell("token")
        return await self.token_given

    async def _read(self, wire: Wire) -> None:
        data = await wire.receive()
        self._heard_at = self.now()
        if self.has("small_limit") and len(data) > 65_536:
            await wire.close(1009)
            return
        if self.has("breaks_texts") and isinstance(data, str):
            data = data.encode("ascii", "replace").decode()
        try:
            frame = decode(data, wire.subprotocol)
            if not readable(frame):
                raise Unreadable("fields of wrong types")
        except Unreadable:
            if self.has("dies_of_rubbish"):
                raise
            return
        if frame["type"] == "WELCOME":
            self._welcome(frame["payload"])
        elif frame["type"] == "RECONNECT" and not self.has("ignores_reconnect"):
            after = 0.0 if self.has("ignores_the_slot") else frame["payload"]["after_ms"] / 1_000
            self.spawn(self._move(after))
        else:
            self.owner.heard(frame)

    def _welcome(self, payload: dict[str, Any]) -> None:
        self.is_open = True
        self.limits = {**payload["limits"]}
        if not self.has("forgets_its_grant"):
            self.grant = payload.get("grant", self.grant)
        self._sent.clear()
        self.owner.welcomed(payload)
        assert self.wire is not None
        self.spawn(self._write(self.wire))
        if not self.has("no_heartbeat"):
            self.spawn(self._beat(self.wire))
        self.refresh(payload.get("expires_at"))

    async def leave(self, code: int) -> None:
        """End this connection."""
        if self.wire is not None:
            await self.wire.close(code)

    async def _move(self, after: float) -> None:
        await asyncio.sleep(after)
        self.ending.moving = True
        assert self.wire is not None
        await self.wire.close(1000)

    # ── what it sends by itself ──

    def refresh(self, expires_at: int | None) -> None:
        """Fetch a fresh token shortly before this one expires."""
        if expires_at is not None and self.tokens and not self.has("never_refreshes"):
            self.spawn(self._refresh(expires_at))

    async def _refresh(self, expires_at: int) -> None:
        delay_ms = expires_at - self.world.wall() * 1_000 - self.times["refresh_before_ms"]
        if self.has("timers_of_32_bits") and delay_ms >= 1 << 31:
            delay_ms = 1
        await asyncio.sleep(max(0.1, delay_ms / 1_000))
        self.token = await self._fresh_token()
        self.send({"type": "AUTH", "payload": {"token": self.token}, "id": f"auth-{self.token}"})

    async def _beat(self, wire: Wire) -> None:
        while True:
            await asyncio.sleep(self.seconds("ping_ms"))
            asked_at = self.now()
            self.send({"type": "PING", "id": f"ping-{asked_at}"})
            await asyncio.sleep(self.seconds("pong_ms"))
            if self._heard_at < asked_at:
                await wire.close(4000)
                return

    async def _write(self, wire: Wire) -> None:
        while True:
            while not self.queue:
                self._news.clear()
                await self._news.wait()
            frame = self.queue[0]
            if (wait := self._pause(frame)) > 0:
                await asyncio.sleep(wait)
                continue
            self.queue.popleft()
            self._sent.append(self.now())
            await wire.send(encode(frame, wire.subprotocol))

    def _pause(self, frame: Frame) -> float:
        """Return how long the rate demands to wait."""
        rate, per_s = self.limits.get("rate", 0), self.limits.get("rate_per_ms", 0) * 1.1 / 1_000
        if (
            not rate
            or self.has("ignores_the_rate")
            or (frame["type"] == "PING" and self.has("pings_beside_the_rate"))
        ):
            return 0.0
        while self._sent and self._sent[0] <= self.now() - per_s:
            self._sent.popleft()
        return 0.0 if len(self._sent) < rate else self._sent[0] + per_s - self.now() + SOON_S


def size_of(frame: Frame, protocol: str) -> int:
    """Return how many bytes a frame has."""
    data = encode(frame, protocol)
    return len(data if protocol == MSGPACK and isinstance(data, bytes) else msgspec.json.encode(frame))
