"""Adapters: the program between the kit and a client under test. It takes commands and says what the client's
application was told, both as JSON objects: on stdin and stdout, or over a WebSocket that it opens itself.

Nothing here knows what a command means. What an adapter says is bounded: a line has at most 32 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
from typing import Any, Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from warren_conformance.verdicts import Broken

LINE_MAX: Final = 32 << 20
_TAIL: Final = 2_000
_LAST_WORDS_S: Final = 1.0

Event = dict[str, Any]


class Adapter(Protocol):
    """One life of the client under test."""

    async def send(self, command: dict[str, Any]) -> None:
        """Give the adapter a command."""

    async def event(self) -> Event | None:
        """Return what it said next; None: it has ended."""

    async def stop(self, within_s: float) -> None:
        """Have it end; after that time it is killed."""

    def last_words(self) -> str:
        """Return how it ended: its exit code, and the end of what it wrote on stderr."""


class AdapterSource(Protocol):
    """Where adapters come from."""

    async def start(self) -> Adapter:
        """Return an adapter that serves no scenario yet."""


class ProcessAdapter:
    """An adapter on stdin and stdout. Its stderr is kept for the report."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._tail = b""
        self._stderr = asyncio.create_task(self._read_stderr())

    async def send(self, command: dict[str, Any]) -> None:
        """Write a line."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            await self._process.stdin.drain()

    async def event(self) -> Event | None:
        """Read a line."""
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                raise Broken(f"the adapter wrote a line of more than {LINE_MAX} bytes") from None
            if not line:
                await self._process.wait()
                return None
            if line.strip():
                return parsed(line)

    async def stop(self, within_s: float) -> None:
        """Close its stdin, which asks it to end."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            # also what the client's program has started itself, such as a shell's or npx's child
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._hear_out()

    def last_words(self) -> str:
        """Return its exit code and the end of its stderr."""
        return f"exit code {self._process.returncode}; {self._tail.decode(errors='replace').strip()}"

    async def _hear_out(self) -> None:
        # Its end may be known before what it wrote last was read (Python 3.14 does not wait for the pipes).
        # The pipe closes with the last that holds it; a program that left the process group may hold it on.
        try:
            await asyncio.wait([self._stderr], timeout=_LAST_WORDS_S)
        finally:
            self._stderr.cancel()
            await asyncio.wait([self._stderr])

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4_096):
            self._tail = (self._tail + data)[-_TAIL:]


class ProcessSource:
    """Starts a program for each client that a scenario needs."""

    def __init__(self, command: str) -> None:
        self._arguments = shlex.split(command)

    async def start(self) -> Adapter:
        """Start the program."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_MAX, start_new_session=True
            )
        except OSError as error:
            raise Broken(f"the adapter can't be started: {error}") from None
        return ProcessAdapter(process)


class SocketAdapter:
    """An adapter that has opened a WebSocket to the kit: for what can't be started as a program."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.ended = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        return self._socket.close_code is None

    async def send(self, command: dict[str, Any]) -> None:
        """Send a text message."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(json.dumps(command))

    async def event(self) -> Event | None:
        """Return the next message."""
        try:
            return parsed(await self._socket.recv())
        except ConnectionClosed:
            return None

    async def stop(self, within_s: float) -> None:
        """Close the WebSocket: the page opens another one for the next scenario."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._socket.close(1000, "scenario over")
        self.ended.set()

    def last_words(self) -> str:
        """Return how the WebSocket ended."""
        return f"close code {self._socket.close_code}; {self._socket.close_reason}"


class SocketSource:
    """Waits for adapters that open a WebSocket to the kit themselves."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[SocketAdapter] = asyncio.Queue()

    async def serve(self, socket: ServerConnection) -> None:
        """Hand out one adapter's WebSocket; return when its scenario is over, or it has closed it."""
        adapter = SocketAdapter(socket)
        self._waiting.put_nowait(adapter)
        ends = {asyncio.create_task(adapter.ended.wait()), asyncio.create_task(socket.wait_closed())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()

    async def start(self) -> Adapter:
        """Return the next one that is still connected."""
        while True:
            adapter = await self._waiting.get()
            if adapter.is_open:
                return adapter


def parsed(line: str | bytes) -> Event:
    """Return an event. Raises Broken."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("event"), str):
        shown = line[:200] if isinstance(line, str) else line[:200].decode(errors="replace")
        raise Broken(f"the adapter said what is no event (a JSON object with the text `event`): {shown!r}")
    return found
