"""One WebSocket on the package ``websockets``: it is opened, read and written, and closed. It knows no
protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    WebSocketException,
)
from websockets.typing import Subprotocol

from warren_client.core.effects import Dial
from warren_client.errors import ConnectError
from warren_client.options import Options

_CONGESTED = 16  # frames that wait to be written
_LAST_WORDS_S = 2.0  # for what waits to be written before a socket is closed, and for the close itself
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no WebSocket was opened. ``after_ms`` is how long the server wants us to stay away."""

    error: ConnectError
    after_ms: float = 0.0


class Socket:
    """``write`` and ``hang_up`` never wait; one task has ``open``, ``frames`` and ``end``."""

    def __init__(self, dial: Dial, options: Options, websocket_options: Mapping[str, Any]) -> None:
        """It is opened by ``open``."""
        self.life = dial.life
        self.closed_with = (1006, "")
        self._dial = dial
        self._options = options
        self._websocket_options = websocket_options
        self._connection: ClientConnection | None = None
        self._waiting: deque[str] = deque()
        self._has_work = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._opening: asyncio.Task[ClientConnection] | None = None
        self._abortion: asyncio.TimerHandle | None = None

    @property
    def is_congested(self) -> bool:
        """Whether more frames wait to be written than is usual."""
        return len(self._waiting) > _CONGESTED

    def is_given_up(self) -> bool:
        """Whether it is to be closed."""
        return self._close is not None

    def write(self, text: str) -> None:
        """Send a frame after those that wait."""
        self._waiting.append(text)
        self._has_work.set()

    def hang_up(self, code: int, reason: str) -> None:
        """Close it after what waits to be written."""
        self._close = (code, reason)
        self._has_work.set()
        # whatever waits for a peer that takes nothing
        self._abortion = asyncio.get_running_loop().call_later(2 * _LAST_WORDS_S, self._abort)
        if self._opening is not None:
            self._opening.cancel()

    async def open(self) -> Failure | None:
        """Open it. Return why that failed."""
        if self.is_given_up():
            return Failure(ConnectError("it was given up"))
        self._opening = asyncio.ensure_future(self._connect())
        try:
            self._connection = await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.is_given_up() or (task is not None and task.cancelling()):
                raise
            return Failure(ConnectError("it was given up"))
        except InvalidStatus as refusal:
            return _refused(refusal)
        except (OSError, TimeoutError, WebSocketException) as fault:
            return Failure(ConnectError(f"can't connect: {_words(fault)}", retry=_may_pass(fault)))
        finally:
            self._opening = None
        return None

    async def frames(self, drained: Callable[[], None]) -> AsyncGenerator[str | bytes, None]:
        """Yield what arrives until it is closed, and write meanwhile. ``drained``: nothing waits to be
        written.
        """
        connection = self._connection
        if connection is None:
            return
        writer = asyncio.create_task(self._write(connection, drained), name=f"warren writer {self.life}")
        try:
            while True:
                yield await connection.recv()
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.closed_with = (closed.rcvd.code, closed.rcvd.reason)
            elif (
                closed.sent is not None
            ):  # our own library has found a fault, such as a frame that is too large
                self.closed_with = (1006, closed.sent.reason)
        finally:
            if self._close is None:
                writer.cancel()
            await asyncio.wait([writer], timeout=2 * _LAST_WORDS_S)
            writer.cancel()
            await asyncio.wait([writer])

    async def end(self) -> None:
        """Leave nothing behind."""
        if self._abortion is not None:
            self._abortion.cancel()
        self._abort()
        if self._connection is not None:
            with contextlib.suppress(Exception):
                await self._connection.wait_closed()

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.transport.abort()

    async def _connect(self) -> ClientConnection:
        dial, options = self._dial, self._options
        headers = {"Authorization": f"Bearer {dial.token}"} if dial.token else {}
        given = dict(self._websocket_options)
        headers |= given.pop("additional_headers", None) or {}
        settings: dict[str, Any] = {
            "open_timeout": options.welcome_timeout,
            "ping_interval": None,  # the protocol's own PING finds a dead connection
            "close_timeout": _LAST_WORDS_S,
            "max_size": options.max_frame_bytes,
        }
        return await connect(
            dial.url,
            subprotocols=[Subprotocol(each) for each in dial.subprotocols],
            additional_headers=headers,
            **(settings | given),
        )

    async def _write(self, connection: ClientConnection, drained: Callable[[], None]) -> None:
        try:
            while self._close is None or self._waiting:
                if not self._waiting:
                    drained()
                    self._has_work.clear()
                    await self._has_work.wait()
                    continue
                await connection.send(self._waiting[0])
                self._waiting.popleft()
        except ConnectionClosed:
            self._waiting.clear()
        if self._close is not None:
            with contextlib.suppress(TimeoutError, WebSocketException):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await connection.close(*self._close)
            self._abort()


def _refused(refusal: InvalidStatus) -> Failure:
    """Return what an answer means that is not 101."""
    response = refusal.response
    body = (response.body or b"").decode("utf-8", "replace").strip()[:300]
    text = f"the server refused the WebSocket with HTTP {response.status_code}{f': {body}' if body else ''}"
    retry = response.status_code >= 500 or response.status_code in _TRANSIENT
    after = response.headers.get("Retry-After", "")
    after_ms = float(after) * 1_000 if after.isascii() and after.isdigit() and len(after) < 6 else 0.0
    return Failure(ConnectError(text, retry=retry, status=response.status_code), after_ms)


def _may_pass(fault: Exception) -> bool:
    """Whether another attempt may succeed: not if what answers there speaks no WebSocket."""
    return not isinstance(fault, InvalidUpgrade | InvalidURI | NegotiationError)


def _words(fault: Exception) -> str:
    return str(fault) or type(fault).__name__
