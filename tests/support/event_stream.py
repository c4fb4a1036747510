"""An EventSource for tests, on a bare socket: what HTML ("Server-sent events") says that a browser does, and
nothing of Warren's code.

It reads the response byte by byte as it stands (head, chunks, lines, fields), comes back with its last event
id when a stream ends, and keeps what came. ``expect`` claims the first message that fits.
"""

# ruff: noqa: A002 (type is the protocol's own word)
from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.eventually import stretched

Message = dict[str, Any]
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Event:
    """What is dispatched to a page."""

    type: str
    data: str
    last_event_id: str


@dataclass
class EventParser:
    """The algorithm of HTML section 9.2.6; ``last_event_id`` and ``retry_ms`` outlive a stream."""

    last_event_id: str = ""
    retry_ms: int | None = None
    comments: int = 0
    _id: str = ""
    _data: list[str] = field(default_factory=list)
    _type: str = ""
    _rest: str = ""

    def begin(self) -> None:
        """A stream begins."""
        self._id, self._data, self._type, self._rest = self.last_event_id, [], "", ""

    def feed(self, text: str) -> list[Event]:
        """Return the events that this text completes."""
        lines = _LINE_END.split(self._rest + text)
        self._rest = lines.pop()
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isdigit():
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        data, kind = self._data, self._type
        self._data, self._type = [], ""
        return Event(kind or "message", "\n".join(data), self._id) if data else None


class BrokenResponse(Exception):
    """What came is no response that ends where it says."""


class Response:
    """One response, whose body is read as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.whole = False  # it has ended as HTTP says that it does

    @classmethod
    async def of(
        cls, url: str, headers: Mapping[str, str] | None = None, version: str = "HTTP/1.1"
    ) -> Response:
        """Ask for an address, and return the response when its head has come."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        asked = {"Host": parts.netloc, "Accept": "text/event-stream", **(headers or {})}
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = [f"GET {target} {version}", *(f"{name}: {value}" for name, value in asked.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        made = cls(reader, writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        made.status = int(head[0].split()[1])
        made.headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        return made

    async def read(self) -> bytes:
        """Return the next bytes of the body; nothing where it has ended."""
        if self.headers.get("transfer-encoding") != "chunked":
            data = await self._reader.read(65_536)
            self.whole = self.whole or not data
            return data
        size = int((await self._line()).split(b";")[0], 16)
        data = await self._reader.readexactly(size)
        if await self._line():
            raise BrokenResponse("a chunk is longer than it says")
        self.whole = self.whole or not size
        return data

    async def _line(self) -> bytes:
        return (await self._reader.readuntil(b"\r\n"))[:-2]

    def close(self) -> None:
        """Break off."""
        self._writer.transport.abort()


class EventSource:
    """One page's. Leave the ``async with`` to end it."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        listener: Callable[[Message], None] | None = None,
        longest_retry_ms: int = 50,
    ) -> None:
        """It dials the first of ``urls``, and the next one whenever a stream has ended; ``listener`` is given
        every message. It waits as long as it is told to, but not longer than a test should.
        """
        self._urls = list(urls)
        self._headers = dict(headers or {})
        self._listener = listener
        self._longest_s = longest_retry_ms / 1_000
        self.parser = EventParser()
        self.received: list[Message] = []
        self.closes: list[Message] = []
        self.statuses: list[int] = []
        self.ids: list[str] = []
        self.streams = 0
        self.whole: list[bool] = []  # of each stream that has ended: as HTTP says
        self.response: Response | None = None
        self.welcome: Message = {}
        self._unclaimed: list[Message] = []
        self._news = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._task = asyncio.create_task(self._run())

    @property
    def id(self) -> str:
        """The connection's id."""
        return str(self.welcome["payload"]["connection"])

    @property
    def post(self) -> str:
        """The secret of the present stream."""
        return str(self.welcome["payload"]["post"])

    async def expect(self, type: str, *, timeout_s: float = 5.0, **fields: Any) -> Message:
        """Return the first unclaimed message of this type with these fields; of the payload: ``payload__…``."""
        deadline = time.monotonic() + stretched(timeout_s)
        while True:
            for index, message in enumerate(self._unclaimed):
                if _fits(message, type, fields):
                    return self._unclaimed.pop(index)
            self._news.clear()
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._task.done():
                raise AssertionError(f"no {type} {fields}; unclaimed: {self._unclaimed[-10:]}")
            try:
                await asyncio.wait_for(self._news.wait(), min(remaining, 0.5))
            except TimeoutError:
                continue

    def of_type(self, type: str, **fields: Any) -> list[Message]:
        """Return all messages received so far that fit."""
        return [message for message in self.received if _fits(message, type, fields)]

    def stop_reading(self) -> None:
        """Read nothing more from now on."""
        self._reading.clear()

    def go_on_reading(self) -> None:
        """End ``stop_reading``."""
        self._reading.set()

    def cut(self) -> None:
        """Lose the present stream; it comes back by itself."""
        if self.response is not None:
            self.response.close()

    async def ended(self, timeout_s: float = 5.0) -> None:
        """Return when it comes back no more."""
        async with asyncio.timeout(stretched(timeout_s)):
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self.cut()
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        while True:
            url = self._urls[0]
            self._urls.append(self._urls.pop(0))
            headers = dict(self._headers)
            if self.parser.last_event_id:
                headers["Last-Event-ID"] = self.parser.last_event_id
            try:
                self.response = await Response.of(url, headers)
                self.statuses.append(self.response.status)
                self._news.set()
                # A browser never comes back to what is no stream.
                if (
                    self.response.status != 200
                    or self.response.headers["content-type"] != "text/event-stream"
                ):
                    return
                await self._read(self.response)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass
            if self.response is not None:
                self.whole.append(self.response.whole)
                self.response.close()
            if self.closes and self.closes[-1]["reconnect"] != "yes":
                return
            await asyncio.sleep(min(self._longest_s, (self.parser.retry_ms or 3_000) / 1_000))

    async def _read(self, response: Response) -> None:
        self.streams += 1
        self.parser.begin()
        while data := await response.read():
            await self._reading.wait()
            for event in self.parser.feed(data.decode()):
                self._take(event)

    def _take(self, event: Event) -> None:
        self._news.set()
        message = json.loads(event.data)
        if event.type == "close":
            self.closes.append(message)
            return
        assert event.type == "message"
        self.ids.append(event.last_event_id)
        if message["type"] == "WELCOME":
            self.welcome = message
        self.received.append(message)
        self._unclaimed.append(message)
        if self._listener is not None:
            self._listener(message)


def _fits(message: Message, type: str, fields: Mapping[str, Any]) -> bool:
    if message.get("type") != type:
        return False
    for name, value in fields.items():
        part, _, inner = name.partition("__")
        found = message.get(part)
        if inner:
            found = found.get(inner) if isinstance(found, dict) else None
        if found != value:
            return False
    return True
