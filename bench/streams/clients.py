"""A writer and a reader of a stream over AMQP 0.9.1, as simple as possible: what they are told and what they
miss is the broker's doing.

The writer has one unconfirmed entry at a time and sends it again under its number until it is confirmed. The
reader continues at its last offset + 1, on the next node if its own is down. Each has its own connection.
They record what happened to them and judge nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiormq
from aiormq.abc import AbstractConnection, DeliveredMessage
from pamqp import commands as spec

from bench.streams.entries import Key, decode, encode
from bench.streams.verdict import Jump, Resumption, resumed

HEARTBEAT_S = 6
CONNECT_S = 5.0
UNCONFIRMED_S = 15.0
PAUSE_S = 0.1
PERSISTENT = 2

FAULTS = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    OSError,
    RuntimeError,
    TimeoutError,
)


async def connect(url: str) -> AbstractConnection:
    """Connect to one node. Raises one of ``FAULTS``."""
    return await asyncio.wait_for(aiormq.connect(f"{url}?heartbeat={HEARTBEAT_S}"), CONNECT_S)


async def drop(connection: AbstractConnection) -> None:
    """Close a connection, whatever the state of its broker."""
    with contextlib.suppress(*FAULTS, asyncio.CancelledError):
        await asyncio.wait_for(connection.close(), 1.0)


def tag(message: DeliveredMessage) -> int:
    """Return the number with which a delivery is acked."""
    assert isinstance(message.delivery, spec.Basic.Deliver)
    return message.delivery.delivery_tag or 0


@dataclass(slots=True)
class Silence:
    """The longest time between two signs of life since ``forget``."""

    longest_s: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def forget(self) -> None:
        """Start again."""
        self.longest_s, self.last = 0.0, time.monotonic()

    def sign(self) -> None:
        """Something has arrived."""
        now = time.monotonic()
        self.longest_s, self.last = max(self.longest_s, now - self.last), now

    @property
    def so_far_s(self) -> float:
        """The longest silence, including the current one."""
        return max(self.longest_s, time.monotonic() - self.last)


class Client:
    """The common part of writer and reader: nodes that are tried in turn, a task, and a record of events."""

    def __init__(self, name: str, urls: Sequence[str], home: int, queue: str) -> None:
        """``home``: the index of the node that is tried first."""
        self.name = name
        self.queue = queue
        self.silence = Silence()
        self.diary: list[tuple[float, str]] = []
        self._urls = urls
        self._at = home
        self._task: asyncio.Task[None] | None = None
        self.connection: AbstractConnection | None = None

    def start(self) -> None:
        """Start."""
        self.silence.forget()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop, and close what is open."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._task = None

    def note(self, text: str) -> None:
        """Record what happened; a repetition is counted, not recorded again."""
        self.diary.append((time.time(), text))

    def told(self, since: float = 0.0) -> dict[str, int]:
        """Return what has happened since then, with counts."""
        found: dict[str, int] = {}
        for at, text in self.diary:
            if at >= since:
                found[text] = found.get(text, 0) + 1
        return found

    async def _run(self) -> None:
        while True:
            connection: AbstractConnection | None = None
            try:
                connection = await connect(self._urls[self._at % len(self._urls)])
                self.connection = connection
                await self._serve(connection)
            except FAULTS as fault:
                self.note(f"{type(fault).__name__}: {fault}"[:160])
            finally:
                if connection is not None:
                    await drop(connection)
            self._at += 1
            await asyncio.sleep(PAUSE_S)

    async def _serve(self, connection: AbstractConnection) -> None:
        raise NotImplementedError


class Writer(Client):
    """One unconfirmed entry at a time, sent again until it is confirmed."""

    def __init__(
        self,
        number: int,
        urls: Sequence[str],
        home: int,
        queue: str,
        *,
        size: int = 600,
        gap_s: float = 0.004,
    ) -> None:
        super().__init__(f"writer {number}", urls, home, queue)
        self.number = number
        self.confirmed = 0
        self.again = 0
        self.size = size
        self.gap_s = gap_s
        self.held = asyncio.Event()
        self.held.set()
        self._tried = 0

    async def write_one(self) -> None:
        """Wait until one more entry is confirmed; the writer must have been started."""
        aim = self.confirmed + 1
        while self.confirmed < aim:
            await asyncio.sleep(0.005)

    async def _serve(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        while not channel.is_closed:
            await self.held.wait()
            number = self.confirmed + 1
            self.again += number == self._tried
            self._tried = number
            try:
                async with asyncio.timeout(UNCONFIRMED_S):
                    await channel.basic_publish(
                        encode(Key(self.number, number), self.size),
                        routing_key=self.queue,
                        mandatory=True,
                        properties=spec.Basic.Properties(delivery_mode=PERSISTENT),
                    )
            except aiormq.exceptions.PublishError as returned:
                self.note(f"returned: {returned}"[:100])
                await asyncio.sleep(PAUSE_S)
            except aiormq.exceptions.DeliveryError as refused:
                self.note(f"nack ({type(refused.frame).__name__})")
                await asyncio.sleep(PAUSE_S)
                return
            else:
                self.confirmed = number
                self.silence.sign()
                if self.gap_s:
                    await asyncio.sleep(self.gap_s)


class Reader(Client):
    """Continues to read from where it is. ``seen``: what it was given; ``jumps``: where an offset was not the
    next; ``other``: what it was given twice with different content.
    """

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        home: int,
        queue: str,
        *,
        prefetch: int = 200,
        offset: int | str | datetime = "first",
        slow_s: float = 0.0,
        stay: bool = False,
        compare: bool = False,
    ) -> None:
        """``slow_s``: how long it works on one entry. ``stay``: on its own node only. ``compare``: continue
        at the last entry and compare, instead of at the next one.
        """
        super().__init__(name, [urls[home % len(urls)]] if stay else urls, home, queue)
        self.seen: dict[int, Key] = {}
        self.jumps: list[Jump] = []
        self.other: list[int] = []
        self.backwards: list[Jump] = []
        self.times: dict[int, float] = {}
        self.next: int | str | datetime = offset
        self.last = -1
        self.slow_s = slow_s
        self._prefetch = prefetch
        self._tag = ""
        self._gate = asyncio.Lock()
        self._compare = compare
        self._held: tuple[int, Key] | None = None

    async def _serve(self, connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=self._prefetch)
        ended = asyncio.get_running_loop().create_future()

        def cancelled(frame: spec.Basic.Cancel) -> None:
            self.note("basic.cancel")
            if not ended.done():
                ended.set_result(None)

        channel.on_consumer_cancel_callbacks.add(cancelled)
        asked = self.resume()
        await channel.basic_consume(self.queue, self._take, arguments={"x-stream-offset": asked})
        self.note("consuming")
        closing = [channel.closing, connection.closing]
        done, _ = await asyncio.wait([ended, *closing], return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            if future is not ended and not future.cancelled() and (error := future.exception()) is not None:
                self.note(f"{type(error).__name__}: {error}"[:160])

    def resume(self) -> int | str | datetime:
        """Return the offset to ask for: the next entry, or the last one if it is to be compared."""
        if not self._compare or self.last < 0:
            return self.next
        self._held = (self.last, self.seen[self.last])
        return self.last

    async def _take(self, message: DeliveredMessage) -> None:
        headers = message.header.properties.headers or {}
        offset = headers["x-stream-offset"]
        assert isinstance(offset, int)
        self.take(offset, decode(message.body))
        if self.slow_s:
            async with self._gate:
                await asyncio.sleep(self.slow_s)
        with contextlib.suppress(*FAULTS):
            await message.channel.basic_ack(tag(message))

    def take(self, offset: int, key: Key) -> None:
        """Record an entry. Entries before the last one are recorded separately."""
        self.silence.sign()
        if self._held is not None:
            held, self._held = self._held, None
            outcome = resumed(held, (offset, key))
            self.note(f"resumed: {outcome}")
            if outcome is Resumption.SAME:
                return
            self.seen[offset] = key
            self.last, self.next = offset, offset + 1
            return
        if self.seen.setdefault(offset, key) != key:
            self.other.append(offset)
        if offset <= self.last:
            self.backwards.append(Jump(self.last, offset))
            return
        expected = self.next if isinstance(self.next, int) else None
        if expected is not None and offset != expected:
            self.jumps.append(Jump(expected - 1, offset))
        self.times[offset] = time.time()
        self.last = offset
        self.next = offset + 1


async def one_entry(
    connection: AbstractConnection, queue: str, offset: int | str | datetime, patience_s: float = 5.0
) -> tuple[int | None, float, Key | None]:
    """Ask for the first entry from ``offset`` on; return its offset (None: nothing in time), how long it
    took, and the entry.
    """
    found = await some_entries(connection, queue, offset, 1, patience_s)
    return (found[0][0], found[0][2], found[0][1]) if found else (None, patience_s, None)


async def some_entries(
    connection: AbstractConnection,
    queue: str,
    offset: int | str | datetime,
    count: int,
    patience_s: float = 5.0,
) -> list[tuple[int, Key, float]]:
    """Return up to ``count`` entries from ``offset`` on: offset, entry, seconds since the request. Raises if
    the broker refuses.
    """
    channel = await connection.channel(publisher_confirms=False)
    found: list[tuple[int, Key, float]] = []
    enough = asyncio.Event()
    began = time.monotonic()

    async def take(message: DeliveredMessage) -> None:
        at = (message.header.properties.headers or {})["x-stream-offset"]
        assert isinstance(at, int)
        if len(found) < count:
            found.append((at, decode(message.body), time.monotonic() - began))
        if len(found) == count:
            enough.set()

    try:
        # nothing is acked: an ack that crosses the closing of its channel ends the connection
        await channel.basic_qos(prefetch_count=count)
        began = time.monotonic()
        await channel.basic_consume(queue, take, arguments={"x-stream-offset": offset})
        closing = asyncio.ensure_future(enough.wait())
        done, _ = await asyncio.wait(
            [closing, channel.closing], timeout=patience_s, return_when=asyncio.FIRST_COMPLETED
        )
        closing.cancel()
        if channel.closing in done:
            channel.closing.result()
    finally:
        with contextlib.suppress(*FAULTS):
            await channel.close()
    return found


async def read_all(url: str, queue: str, until: Key, *, patience_s: float = 60.0) -> dict[int, Key]:
    """Read a stream from its first entry up to the given one. Raises TimeoutError that says how far it got."""
    reader = Reader("auditor", [url], 0, queue, prefetch=1_000)
    reader.start()
    try:
        await eventually(
            lambda: reader.last in reader.seen and until in reader.seen.values(),
            patience_s,
            f"the end of {queue} (at {reader.last})",
            0.5,
        )
    finally:
        await reader.stop()
    return reader.seen


async def eventually(is_so: Callable[[], bool], within_s: float, what: str, step_s: float = 0.02) -> float:
    """Wait until the condition holds; return how long it took. Raises TimeoutError that names it."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > within_s:
            raise TimeoutError(f"{what}: not within {within_s:.0f} s")
        await asyncio.sleep(step_s)
    return time.monotonic() - began


def at_second(seconds: float) -> datetime:
    """A point in time as AMQP represents it: whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC)
