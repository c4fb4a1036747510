"""A participant: a client as an application would write it, on the stock ``websockets`` package, that records
all it does and is told.

It is a member of some rooms and publishes to them, comes back to another gateway when its connection ends,
joins with its position, and sends again under the same id what was not acknowledged. It judges nothing:
``assertions.py`` does. Nothing of Warren's code is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from tests.faults.history import Acked, Got, History, Joined, Left, Refused, Sent
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

_OPEN_S = 3.0
_PING_S = 2.0  # a frozen gateway is noticed after _PING_S + _PONG_S
_PONG_S = 4.0
_ANSWER_S = 20.0  # a JOIN or a message without an answer for so long is asked again
_BACK_OFF_S = (0.05, 1.5)
_RETRY_S = (0.1, 0.5)
_BURST = 4  # messages just before a connection is lost
_BURST_S = (0.0, 0.006)  # about as long as their ACKs take


@dataclass
class Pulse:
    """What all participants saw, for the figures."""

    sent_at: dict[str, float] = field(default_factory=dict)
    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    heard_at: dict[str, array[float]] = field(default_factory=dict)  # messages and ACKs, by room
    connects: int = 0
    resent: int = 0
    closes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    # DEGRADED, RESTORED, RECONNECT, and what took too long
    notices: Counter[str] = field(default_factory=Counter)


@dataclass
class _Pending:
    """A message without its answer."""

    room: str
    frame: str
    ask_again_at: float  # monotonic


class Participant:
    """One client. ``run`` is its life; ``quiet`` ends its publishing, ``close`` its life."""

    def __init__(
        self,
        name: str,
        rooms: Sequence[str],
        front_urls: Sequence[str],
        history: History,
        pulse: Pulse,
        random: Random,
        *,
        every_s: float,
        window: int,
    ) -> None:
        """``front_urls``: the gateways' URLs. It publishes about every ``every_s`` seconds to one of its rooms,
        with at most ``window`` messages of a room unanswered; every tenth message asks for a copy of its own.
        """
        self.name = name
        self.rooms = list(rooms)
        self.connected = False
        self._front_urls = list(front_urls)
        self._history = history
        self._pulse = pulse
        self._random = random
        self._every_s = every_s
        self._window = window
        self._socket: ClientConnection | None = None
        self._url = random.choice(self._front_urls)
        self._positions: dict[str, tuple[str, int]] = {}
        self._joining: dict[str, tuple[str, int | None, float]] = {}  # ref ▶ room, since, when to give up
        self._joined: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._number = 0
        self._join_number = 0
        self._publishing = True
        self._closing = False
        self._leave: asyncio.TimerHandle | None = None
        history.members.setdefault(name, [])

    @property
    def joined(self) -> bool:
        """Whether it is connected and in all its rooms."""
        return self.connected and self._joined.issuperset(self.rooms)

    @property
    def settled(self) -> bool:
        """Whether it has, besides, an answer for everything."""
        return self.joined and not self._pending

    @property
    def unanswered(self) -> int:
        """How many messages have no answer yet."""
        return len(self._pending)

    def quiet(self) -> None:
        """Publish nothing new."""
        self._publishing = False

    async def drop(self) -> None:
        """Lose the connection in the middle of a burst of messages, as a phone does in a tunnel: some were
        taken in, the ACKs of some were on their way, and nothing is said to the other side.
        """
        socket = self._socket
        if socket is None:
            return
        with contextlib.suppress(ConnectionClosed):
            for _ in range(_BURST if self._publishing else 0):
                await self._say_something(socket)
            await asyncio.sleep(self._random.uniform(*_BURST_S))
        socket.transport.abort()

    async def close(self) -> None:
        """End the connection; ``run`` returns."""
        self._closing = True
        if self._socket is not None:
            await self._socket.close()

    async def run(self) -> None:
        """Live: connect, and come back whenever the connection ends, until ``close``."""
        failures = 0
        while not self._closing:
            try:
                async with connect(
                    f"{self._url}?user={self.name}",
                    open_timeout=_OPEN_S,
                    ping_interval=_PING_S,
                    ping_timeout=_PONG_S,
                    close_timeout=1.0,
                    compression=None,
                    max_queue=256,
                    proxy=None,
                ) as socket:
                    if await self._live(socket):
                        failures = 0
            except (OSError, TimeoutError, WebSocketException) as error:
                self._pulse.closes[type(error).__name__] += 1
            failures += 1
            self._url = self._random.choice(
                [url for url in self._front_urls if url != self._url] or self._front_urls
            )
            longest_s = min(_BACK_OFF_S[1], _BACK_OFF_S[0] * 2**failures)
            if not self._closing:
                await asyncio.sleep(self._random.uniform(_BACK_OFF_S[0] / 2, longest_s))

    # ── one connection ──────────────────────────────────────────────────────────────────────────────────────

    async def _live(self, socket: ClientConnection) -> bool:
        """Use a connection until it ends; return whether it was of any use."""
        welcome = json.loads(await asyncio.wait_for(socket.recv(), _OPEN_S))
        if welcome["type"] != "WELCOME":
            self._pulse.errors[f"no WELCOME but {welcome['type']}"] += 1
            return False
        self._socket = socket
        self._joined.clear()
        self._joining.clear()
        self._pulse.connects += 1
        self.connected = True
        publisher = asyncio.create_task(self._publish(socket))
        try:
            async for frame in socket:
                self._take(json.loads(frame))
        finally:
            self.connected = False
            self._socket = None
            if self._leave is not None:
                self._leave.cancel()
                self._leave = None
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
            self._pulse.closes[str(socket.close_code)] += 1
        return True

    async def _publish(self, socket: ClientConnection) -> None:
        """Join, send again what has no answer, then publish at our pace."""
        with contextlib.suppress(ConnectionClosed):
            steps = [self._join_all, self._repeat_all]
            self._random.shuffle(steps)
            for step in steps:
                await step(socket)
            next_at = time.monotonic() + self._random.uniform(0, self._every_s)
            while True:
                await asyncio.sleep(max(0.01, min(0.25, next_at - time.monotonic())))
                await self._ask_again(socket)
                if self._publishing and time.monotonic() >= next_at:
                    next_at = (
                        max(next_at, time.monotonic() - 1.0) + self._random.uniform(0.5, 1.5) * self._every_s
                    )
                    await self._say_something(socket)

    async def _join_all(self, socket: ClientConnection) -> None:
        for room in self._random.sample(self.rooms, len(self.rooms)):
            await self._join(socket, room)

    async def _join(self, socket: ClientConnection, room: str) -> None:
        self._join_number += 1
        ref = f"join-{self._join_number}"
        position = self._positions.get(room)
        since = {"since": {"epoch": position[0], "seq": position[1]}} if position else None
        self._joining[ref] = (room, position[1] if position else None, time.monotonic() + _ANSWER_S)
        await socket.send(json.dumps({"type": "JOIN", "room": room, "id": ref, "payload": since}))

    async def _repeat_all(self, socket: ClientConnection) -> None:
        for message in list(self._pending.values()):
            await self._repeat(socket, message)

    async def _repeat(self, socket: ClientConnection, message: _Pending) -> None:
        message.ask_again_at = time.monotonic() + _ANSWER_S
        self._pulse.resent += 1
        await socket.send(message.frame)

    async def _ask_again(self, socket: ClientConnection) -> None:
        now = time.monotonic()
        for message in [message for message in self._pending.values() if message.ask_again_at <= now]:
            await self._repeat(socket, message)
        for ref, (room, _, until) in list(self._joining.items()):
            if until <= now:
                del self._joining[ref]
                self._pulse.notices["JOIN without an answer"] += 1
                await self._join(socket, room)

    async def _say_something(self, socket: ClientConnection) -> None:
        waiting = Counter(message.room for message in self._pending.values())
        open_rooms = [room for room in self.rooms if waiting[room] < self._window]
        if not open_rooms:
            return
        room = self._random.choice(open_rooms)
        self._number += 1
        message = f"{self.name}-{self._number}"
        own_copy = self._number % 10 == 0
        content: dict[str, Any] = {
            "type": "CHAT",
            "room": room,
            "id": message,
            "payload": {"n": self._number},
        }
        if own_copy:
            content["include_sender"] = True
        frame = json.dumps(content)
        self._history.add(self.name, Sent(self._history.next(), room, message, self._number, own_copy))
        now = time.monotonic()
        self._pulse.sent_at[message] = now
        self._pending[message] = _Pending(room, frame, now + _ANSWER_S)
        await socket.send(frame)

    def _go(self) -> None:
        if self._socket is not None:
            self._socket.transport.abort()

    # ── what the server says ────────────────────────────────────────────────────────────────────────────────

    def _take(self, message: dict[str, Any]) -> None:
        room = message.get("room", "")
        take = self._TAKES.get(message["type"])
        if take is not None:
            take(self, room, message)
        elif message["type"] in ("DEGRADED", "RESTORED", "RECONNECT"):
            self._notice(message)

    def _notice(self, message: dict[str, Any]) -> None:
        self._pulse.notices[message["type"]] += 1
        if message["type"] == "RECONNECT" and self._leave is None:
            after_s = message["payload"]["after_ms"] / 1_000
            self._leave = asyncio.get_running_loop().call_later(after_s, self._go)

    def _take_message(self, room: str, message: dict[str, Any]) -> None:
        if room not in self.rooms:
            return
        epoch, seq, id_ = message["epoch"], message["seq"], message.get("id", "")
        number = message["payload"]["n"]
        self._history.add(
            self.name, Got(self._history.next(), room, epoch, seq, message.get("sender", ""), id_, number)
        )
        known = self._positions.get(room)
        if known is not None and known[0] == epoch and seq > known[1]:
            self._positions[room] = (epoch, seq)
            now = time.monotonic()
            self._hear(room, now)
            self._pulse.latencies_s.append(now - self._pulse.sent_at.get(id_, now))

    def _take_ack(self, room: str, message: dict[str, Any]) -> None:
        position = message["payload"]
        self._history.add(
            self.name, Acked(self._history.next(), room, message["ref"], position["epoch"], position["seq"])
        )
        self._pending.pop(message["ref"], None)
        self._hear(room, time.monotonic())

    def _hear(self, room: str, now: float) -> None:
        """Something goes through. An ACK says so too: in a room with one member hardly anything else does."""
        self._pulse.heard_at.setdefault(room, array("d")).append(now)

    def _take_joined(self, room: str, message: dict[str, Any]) -> None:
        if room not in self.rooms:
            return
        position = message["payload"]
        epoch, seq, recovered = position["epoch"], position["seq"], position["recovered"]
        _, since, _ = self._joining.pop(message.get("ref", ""), (room, None, 0.0))
        self._history.add(self.name, Joined(self._history.next(), room, epoch, seq, recovered, since))
        if not recovered or room not in self._positions:
            self._positions[room] = (epoch, seq)
        self._joined.add(room)

    def _take_left(self, room: str, message: dict[str, Any]) -> None:
        self._history.add(self.name, Left(self._history.next(), room))
        self._joined.discard(room)

    def _take_error(self, room: str, message: dict[str, Any]) -> None:
        problem, ref = message["payload"], message.get("ref", "")
        self._pulse.errors[problem["code"]] += 1
        pause_s = problem.get("retry_after_ms", self._random.uniform(*_RETRY_S) * 1_000) / 1_000
        pending = self._pending.get(ref)
        if "close" in problem:
            return  # the connection ends next; what it says is for the next one
        if not problem["retry"]:
            known_room = pending.room if pending else self._joining.get(ref, (room, None, 0.0))[0]
            self._history.add(self.name, Refused(self._history.next(), known_room, ref, problem["code"]))
            self._pending.pop(ref, None)
        elif pending is not None:
            pending.ask_again_at = time.monotonic() + pause_s
        elif ref in self._joining:
            joining_room, since, _ = self._joining[ref]
            self._joining[ref] = (joining_room, since, time.monotonic() + pause_s)

    _TAKES: ClassVar[dict[str, Callable[[Participant, str, dict[str, Any]], None]]] = {
        "CHAT": _take_message,
        "ACK": _take_ack,
        "JOINED": _take_joined,
        "LEFT": _take_left,
        "ERROR": _take_error,
    }
