"""A small client of ``warren.v1`` for tests, on the stock ``websockets`` package: nothing of Warren's code is
in it.

A reader records every message as it comes; ``expect`` claims the first one that fits and was not claimed
before, whatever else came in between. It speaks JSON or, by the subprotocol ``warren.v1.msgpack``,
MessagePack.
"""

# ruff: noqa: A002 (type and id are the protocol's own words)
from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import msgspec
from tests.support.eventually import stretched
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode
from websockets.typing import Origin, Subprotocol

JSON = "warren.v1"
MSGPACK = "warren.v1.msgpack"

Message = dict[str, Any]
Where = Literal["query", "header", "subprotocol"]


class Client:
    """One connection. Make it by ``connect``; leave the ``async with`` (or ``close``) to end it."""

    def __init__(self, socket: ClientConnection, listener: Callable[[Message], None] | None = None) -> None:
        """``listener`` is given every message as well, for a Recorder."""
        self.socket = socket
        self.received: list[Message] = []  # all of them, in order
        self._unclaimed: list[Message] = []
        self._listener = listener
        self._ids = itertools.count(1)
        self._news = asyncio.Condition()
        self._reading = asyncio.Event()
        self._reading.set()
        self._ended = False
        self._reader = asyncio.create_task(self._read())
        self.welcome: Message = {}

    @property
    def id(self) -> str:
        """The connection's id, as WELCOME gave it."""
        return str(self.welcome["payload"]["connection"])

    @property
    def user(self) -> str:
        """The user's name, as WELCOME gave it."""
        return str(self.welcome["payload"]["user"])

    @property
    def msgpack(self) -> bool:
        """Whether this connection speaks MessagePack."""
        return self.socket.subprotocol == MSGPACK

    async def send(
        self, type: str, room: str | None = None, payload: Any = None, *, id: str | None = None, **fields: Any
    ) -> None:
        """Send a message; what is None is left out."""
        message = {"type": type, "room": room, "payload": payload, "id": id, **fields}
        await self.send_message({name: value for name, value in message.items() if value is not None})

    async def send_message(self, message: Mapping[str, Any]) -> None:
        """Send a message as it is."""
        await self.socket.send(msgspec.msgpack.encode(message) if self.msgpack else json.dumps(message))

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is: text or binary."""
        await self.socket.send(frame)

    async def publish(self, room: str, payload: Any, *, type: str = "CHAT", **fields: Any) -> Message:
        """Send a message with an id of our own, and return its ACK."""
        ref = f"t{next(self._ids)}"
        await self.send(type, room, payload, id=ref, **fields)
        return await self.expect("ACK", ref=ref)

    async def join(self, room: str, since: Mapping[str, Any] | None = None) -> Message:
        """Join a room, and return JOINED."""
        ref = f"j{next(self._ids)}"
        await self.send("JOIN", room, {"since": since} if since else None, id=ref)
        return await self.expect("JOINED", room=room, ref=ref)

    async def leave(self, room: str) -> Message:
        """Leave a room, and return LEFT."""
        ref = f"l{next(self._ids)}"
        await self.send("LEAVE", room, id=ref)
        return await self.expect("LEFT", room=room, ref=ref)

    async def expect(self, type: str, *, timeout_s: float = 5.0, **fields: Any) -> Message:
        """Return the first unclaimed message of this type with these fields, and wait for it where need be.

        A field of the payload is written ``payload__name``. Raises AssertionError that lists what came
        instead.
        """
        deadline = time.monotonic() + stretched(timeout_s)
        async with self._news:
            while True:
                for index, message in enumerate(self._unclaimed):
                    if _fits(message, type, fields):
                        return self._unclaimed.pop(index)
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0 or not await self._wait_for_news(remaining):
                    raise AssertionError(
                        f"no {type} {fields or ''}{self._state()}; unclaimed: {self._unclaimed[-10:]}"
                    )

    async def expect_all(
        self, type: str, count: int, *, timeout_s: float = 10.0, **fields: Any
    ) -> list[Message]:
        """Return the next ``count`` messages that fit."""
        return [await self.expect(type, timeout_s=timeout_s, **fields) for _ in range(count)]

    async def settle(self) -> None:
        """Return once the server has answered a PING: what it had sent us before has come."""
        ref = f"p{next(self._ids)}"
        await self.send("PING", id=ref)
        await self.expect("PONG", ref=ref)

    def of_type(self, type: str, **fields: Any) -> list[Message]:
        """Return all messages received so far that fit, claimed or not."""
        return [message for message in self.received if _fits(message, type, fields)]

    async def closed(self, timeout_s: float = 5.0) -> tuple[int, str]:
        """Wait until the connection has ended, and return its close code and reason (1006 where there was no
        close frame).
        """
        async with asyncio.timeout(stretched(timeout_s)):
            await self.socket.wait_closed()
            await asyncio.wait([self._reader])
        return self.socket.close_code or 1006, self.socket.close_reason or ""

    def stop_reading(self) -> None:
        """Read nothing more from the socket from now on (a slow reader)."""
        self._reading.clear()

    def go_on_reading(self) -> None:
        """End ``stop_reading``."""
        self._reading.set()

    def abort(self) -> None:
        """Drop the TCP connection without a close frame."""
        self.socket.transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Close the connection."""
        self._reading.set()
        await self.socket.close(code)
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _wait_for_news(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self) -> None:
        try:
            while True:
                await self._reading.wait()
                frame = await self.socket.recv()
                message = msgspec.msgpack.decode(frame) if isinstance(frame, bytes) else json.loads(frame)
                async with self._news:
                    self.received.append(message)
                    self._unclaimed.append(message)
                    self._news.notify_all()
                if self._listener is not None:
                    self._listener(message)
        except ConnectionClosed:
            pass
        finally:
            self._ended = True
            async with self._news:
                self._news.notify_all()

    def _state(self) -> str:
        if not self._ended:
            return ""
        return f" (closed with {self.socket.close_code} {self.socket.close_reason!r})"


async def connect(
    url: str,
    *,
    token: str | None = None,
    token_in: Where = "query",
    grant: str | None = None,
    user: str | None = None,
    subprotocol: str | None = JSON,
    origin: str | None = None,
    headers: Mapping[str, str] | None = None,
    deflate: bool = False,
    welcome: bool = True,
    pongs: bool = True,
    listener: Callable[[Message], None] | None = None,
) -> Client:
    """Connect to a gateway's ``/ws`` and (unless ``welcome`` is False) wait for WELCOME.

    ``grant`` goes where the token goes (with a header: as a subprotocol). ``user`` is the name in anonymous
    mode; ``subprotocol`` None offers none; ``pongs=False`` never answers
    the server's pings. Raises ``websockets.exceptions.InvalidStatus`` where the upgrade is refused.
    """
    query = [
        f"{name}={quote(value)}"
        for name, value in (
            ("user", user),
            ("token", token if token_in == "query" else None),
            ("grant", grant if token_in == "query" else None),
        )
        if value
    ]
    if query:
        url += ("&" if "?" in url else "?") + "&".join(query)
    extra = dict(headers or {})
    if token and token_in == "header":
        extra["Authorization"] = f"Bearer {token}"
    offered = [subprotocol] if subprotocol else []
    if token and token_in == "subprotocol":
        offered.append(f"bearer.{token}")
    if grant and token_in != "query":
        offered.append(f"grant.{grant}")
    socket = await open_websocket(
        url,
        subprotocols=[Subprotocol(each) for each in offered] or None,
        origin=Origin(origin) if origin else None,
        additional_headers=extra,
        compression="deflate" if deflate else None,
        proxy=None,
        ping_interval=None,
        max_size=None,
        close_timeout=stretched(2.0),
        create_connection=ClientConnection if pongs else _Mute,
    )
    client = Client(socket, listener)
    if welcome:
        try:
            client.welcome = await client.expect("WELCOME")
        except BaseException:
            with contextlib.suppress(Exception):
                await client.close()
            raise
    return client


class _Mute(ClientConnection):
    """A connection whose pongs never leave: to the server a peer that is dead."""

    def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
        super().__init__(protocol, **options)
        send_frame = protocol.send_frame
        # The instance's method is replaced, since websockets has no hook for this.
        protocol.send_frame = lambda frame: None if frame.opcode is Opcode.PONG else send_frame(frame)  # type: ignore[method-assign]


def _fits(message: Message, type: str, fields: Mapping[str, Any]) -> bool:
    if message.get("type") != type:
        return False
    for name, wanted in fields.items():
        outer, _, inner = name.partition("__")
        value = message.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, dict) else None
        if value != wanted:
            return False
    return True
