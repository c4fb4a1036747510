"""Connection: one WebSocket of the client under test, behind which a polite server answers.

A scenario changes what it is about: it holds back a type of frames, to answer them itself, or sends what the
polite server would not. Each frame of the client is held to the contract, whoever answers it.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from warren_conformance import contract
from warren_conformance.codec import Frame, Unreadable, decode, encode
from warren_conformance.rate import RateWindow
from warren_conformance.room import STAMP
from warren_conformance.sockets import Asked, Socket
from warren_conformance.verdicts import Breach

if TYPE_CHECKING:
    from warren_conformance.client import Client

MESSAGE: Final = "message"  # stands for every type that is for members of a room
TICK_S: Final = 0.02
LIMITS: Final = {"message_bytes": 1 << 20, "rate": 0, "rate_per_ms": 1_000, "rooms": 100}


class Connection:
    """One connection. Made by ``Client.upgraded``."""

    def __init__(self, client: Client, asked: Asked, socket: Socket) -> None:
        self.client = client
        self.asked = asked
        self.socket = socket
        self.opened_at = client.now()
        self.frames: list[tuple[float, Frame]] = []  # all that came, with the time
        self.pongs: list[bytes] = []
        self.closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.message_bytes = LIMITS["message_bytes"]
        self._rate = RateWindow(0, 1.0)
        # the last two moments at which the kit was not late: what is read now came after the first of them
        self._ticks: deque[float] = deque([math.inf], maxlen=2)
        self._ticking: asyncio.Task[None] | None = None
        self._held: set[str] = set()
        self._unclaimed: list[Frame] = []
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @property
    def socket_is_open(self) -> bool:
        """Whether the client has not closed it."""
        return not self.closed.done()

    # ── what the server says ──────────────────────────────────────────────────────────────────────────────

    async def send(self, *frames: Frame) -> None:
        """Send frames, as they are."""
        for frame in frames:
            await self.socket.send(encode(frame, self.socket.subprotocol))

    async def send_raw(self, data: str | bytes) -> None:
        """Send what need not be a frame."""
        await self.socket.send(data)

    async def welcome(self, *, rooms: list[str] | None = None, **payload: Any) -> None:
        """Send WELCOME, and JOINED for each room that the server joins by itself."""
        manual = self.asked.query.get("join") == "manual"
        given = [] if manual else (rooms if rooms is not None else self.client.at_connect)
        limits = {**LIMITS, **payload.pop("limits", {})}
        self.message_bytes = limits["message_bytes"]
        self._rate = RateWindow(limits["rate"], limits["rate_per_ms"] / 1_000)
        if limits["rate"]:
            self._ticks = deque([self.client.now()] * 2, maxlen=2)
            self._ticking = asyncio.create_task(self._tick())
        fields = {
            "connection": f"~{self.client.name}-{len(self.client.connections)}",
            "user": self.client.user,
            "heartbeat_ms": 30_000,
            "rooms": given,
            "limits": limits,
            "expires_at": None,
            **payload,
        }
        await self.send({"type": "WELCOME", "payload": fields, "timestamp": STAMP, "version": "1.0"})
        for name in given:
            await self.send(*self.client.room(name).joined())

    async def publish(self, room: str, payload: Any = ..., **fields: Any) -> Frame:
        """Number a message of somebody else, and send it."""
        frame = self.client.room(room).publish(payload, **fields)
        await self.send(frame)
        return frame

    async def error(self, code: str, ref: str | None = None, **payload: Any) -> None:
        """Send an ERROR."""
        retry = payload.pop("retry", False)
        fields = {
            "code": code,
            "message": f"{code} (as the conformance kit wants it)",
            "retry": retry,
            **payload,
        }
        frame: Frame = {"type": "ERROR", "payload": fields, "timestamp": STAMP, "version": "1.0"}
        await self.send(frame if ref is None else frame | {"ref": ref})

    async def answer(self, frame: Frame) -> None:
        """Answer a frame that was held as the polite server would have done."""
        for each in self._answers(frame):
            await self.send(each)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection."""
        await self.socket.close(code, reason)

    def cut(self) -> None:
        """End it without a close frame."""
        self.socket.cut()

    # ── what the client says ──────────────────────────────────────────────────────────────────────────────

    def hold(self, *types: str) -> None:
        """Answer frames of these types no more: the scenario does (``MESSAGE``: all that are for a room)."""
        self._held |= set(types)
        self._unclaimed = [frame for frame in self._unclaimed if _kind(frame) not in types]

    def release(self, *types: str) -> None:
        """Answer them again."""
        self._held -= set(types)

    async def expect(
        self,
        kind: str,
        why: str,
        *,
        within: float = 3.0,
        room: str | None = None,
        where: Callable[[Frame], bool] = lambda _frame: True,
    ) -> Frame:
        """Return the first unclaimed frame of a type. ``why``: what the client did wrong if none comes."""
        found: list[Frame] = []

        def arrived() -> bool:
            for index, frame in enumerate(self._unclaimed):
                if _kind(frame) == kind and where(frame) and room in (None, frame.get("room")):
                    found.append(self._unclaimed.pop(index))
                    return True
            return self.closed.done()

        try:
            async with asyncio.timeout(self.client.patience(within)), self._news:
                await self._news.wait_for(arrived)
        except TimeoutError:
            raise Breach(f"{why} (waited {within:g} s; it sent {self.said()})") from None
        if not found:
            raise Breach(f"{why}: it closed the connection with {self.closed.result()} instead")
        return found[0]

    def of(self, kind: str, room: str | None = None) -> list[Frame]:
        """Return all frames of a type that came so far."""
        return [
            frame
            for _, frame in self.frames
            if _kind(frame) == kind and (room is None or frame.get("room") == room)
        ]

    def said(self) -> str:
        """Return in a few words what the client has sent."""
        kinds = [frame["type"] for _, frame in self.frames][-8:]
        return ", ".join(kinds) if kinds else "nothing"

    async def is_closed(self, why: str, within: float = 3.0) -> int | None:
        """Wait until the client has closed the connection, and return its code."""
        try:
            async with asyncio.timeout(self.client.patience(within)):
                return await asyncio.shield(self.closed)
        except TimeoutError:
            raise Breach(why) from None

    async def ponged(self, data: bytes, why: str, within: float = 3.0) -> None:
        """Wait for the pong with this payload."""
        try:
            async with asyncio.timeout(self.client.patience(within)), self._news:
                await self._news.wait_for(lambda: data in self.pongs or self.closed.done())
        except TimeoutError:
            raise Breach(why) from None
        if data not in self.pongs:
            raise Breach(why)

    async def end(self) -> None:
        """Stop reading."""
        tasks = [task for task in (self._reader, self._ticking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self.cut()

    # ── inside ────────────────────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._ticks.append(self.client.now())

    async def _read(self) -> None:
        while True:
            event = await self.socket.receive()
            async with self._news:
                if event.kind == "closed":
                    self.closed.set_result(event.code)
                    self._news.notify_all()
                    if event.fault and not self.client.is_stopping:
                        section = "Connect"
                        self.client.fail(
                            Breach(
                                f"the client broke the rules of WebSocket: {event.fault}",
                                rule="frames must comply with RFC 6455",
                                section=section,
                            )
                        )
                    return
                if event.kind == "pong":
                    self.pongs.append(bytes(event.data))  # type: ignore[arg-type]
                elif event.kind == "message":
                    await self._take(event.data)
                self._news.notify_all()

    async def _take(self, data: str | bytes) -> None:
        now = self.client.now()
        try:
            frame = decode(data, self.socket.subprotocol)
        except Unreadable as error:
            self.client.fail(
                Breach(str(error), rule="every frame is one of the contract", section="Messages")
            )
            return
        wrong = contract.problem(frame) or self.client.ids.problem(frame)
        size = len(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        if wrong:
            self.client.fail(Breach(wrong, rule="every frame is one of the contract", section="Messages"))
        elif size > self.message_bytes:
            sentence = (
                f"the client sent a frame of {size} bytes, although WELCOME allows {self.message_bytes}"
            )
            self.client.fail(
                Breach(
                    sentence,
                    rule="a message above the limit closes the connection",
                    section="Heartbeat and limits",
                )
            )
        if self._rate.exceeds(now, min(now, self._ticks[0])):
            sentence = (
                f"the client sent {frame['type']} faster than WELCOME allows: {self.said()}, {frame['type']}"
            )
            self.client.fail(
                Breach(sentence, rule="a client keeps to the announced rate", section="Heartbeat and limits")
            )
        self.frames.append((now, frame))
        kind = _kind(frame)
        if kind in self._held:
            self._unclaimed.append(frame)
            return
        if kind in ("JOIN", "AUTH", "LEAVE", "SEEN", "PRESENCE", "REQUEST", "CANCEL", "HISTORY", MESSAGE):
            self._unclaimed.append(frame)
        for each in self._answers(frame):
            await self.send(each)

    def _answers(self, frame: Frame) -> list[Frame]:
        """Return what a server that has nothing to object to answers."""
        kind, ref = _kind(frame), frame.get("id")
        answer: Frame = {"type": "", "timestamp": STAMP, "version": "1.0"}
        if ref is not None:
            answer["ref"] = ref
        room = frame.get("room") or (self.client.at_connect or ["default"])[0]
        match kind:
            case "PING":
                return [answer | {"type": "PONG", "payload": frame.get("payload")}]
            case "JOIN":
                return self.client.room(room).joined(ref, (frame.get("payload") or {}).get("since"))
            case "LEAVE":
                return [answer | {"type": "LEFT", "room": room, "payload": None}]
            case "AUTH":
                return [answer | {"type": "AUTHENTICATED", "payload": {"expires_at": None}}]
            case "HISTORY":
                return [answer | {"type": "HISTORY", "room": room, "payload": self._page(room, frame)}]
            case "message":
                ack = self.client.room(room).accept(frame, self.client.user)
                return [ack] if ref is not None else []
        return []

    def _page(self, room: str, frame: Frame) -> dict[str, Any]:
        asked = frame.get("payload") or {}
        before, limit = asked.get("before"), asked.get("limit") or 50
        log = self.client.room(room).log
        found = [log[seq] for seq in sorted(log) if before is None or seq < before]
        return {"messages": found[-limit:], "more": len(found) > limit}


def _kind(frame: Frame) -> str:
    return MESSAGE if contract.is_message(frame) else str(frame["type"])
