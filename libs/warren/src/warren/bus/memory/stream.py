"""MemoryStream: a memory broker's stream: an append-only log that drops its beginning, a segment at a time.

Its records keep the time at which they were written, so that a reader can begin there. It calls nobody: a
reader asks for what is there and is woken when there is more, or when the stream is gone.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections import deque
from dataclasses import dataclass, field

from warren.bus import Record, Start, Timestamp
from warren.bus.memory.queue import number_of
from warren.topology import Queue

SEGMENTS = 16  # within its limit, where a stream says nothing of their size


@dataclass(slots=True)
class _Segment:
    """What is dropped at a time. ``times`` are the records' seconds, which never go back."""

    records: list[Record] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    bytes: int = 0


class MemoryStream:
    """A stream. The segment that is being written is never dropped."""

    def __init__(self, queue: Queue, most_bytes: int) -> None:
        """Begin empty, at offset 0. It keeps ``most_bytes`` at most, whatever the queue allows."""
        self.name = queue.name
        self.declared = queue
        self.deleted = False
        self._max_bytes = min(most_bytes, number_of(queue.arguments, "x-max-length-bytes") or most_bytes)
        segments = max(1, self._max_bytes // SEGMENTS)
        asked = number_of(queue.arguments, "x-stream-max-segment-size-bytes") or segments
        self._segment_bytes = segments if self._max_bytes == most_bytes else asked
        self._segments = deque((_Segment(),))
        self._bytes = 0
        self._first = 0
        self._next = 0
        self._second = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        """Return how many records it holds."""
        return self._next - self._first

    @property
    def first(self) -> int:
        """The offset of the oldest record that is left."""
        return self._first

    @property
    def last(self) -> int:
        """The offset of the newest record (of the next one where there is none)."""
        return max(self._first, self._next - 1)

    def put(self, body: bytes, at_ms: int) -> None:
        """Append a record that was written at ``at_ms`` and wake the readers."""
        segment = self._segments[-1]
        if segment.records and segment.bytes + len(body) > self._segment_bytes:
            segment = _Segment()
            self._segments.append(segment)
            self._drop()
        self._second = max(self._second, at_ms // 1_000)
        segment.records.append(Record(self._next, body))
        segment.times.append(self._second)
        segment.bytes += len(body)
        self._bytes += len(body)
        self._next += 1
        self._wake()

    def end(self) -> None:
        """Mark it as deleted, and wake the readers to see it."""
        self.deleted = True
        self._wake()

    def place(self, start: Start) -> int:
        """Return the offset that a reader begins at."""
        if start == "first":
            return self.first
        if start == "last":
            return self.last
        return self._at(start.ms // 1_000) if isinstance(start, Timestamp) else start

    def after(self, offset: int, count: int) -> list[Record]:
        """Return up to ``count`` records from ``offset`` on (or from the first that is left)."""
        found: list[Record] = []
        if offset >= self._next:
            return found
        for segment in self._segments:
            if segment.records and segment.records[-1].offset >= offset:
                begin = max(0, offset - segment.records[0].offset)
                found += itertools.islice(segment.records, begin, begin + count - len(found))
                if len(found) >= count:
                    break
        return found

    def wait(self, waiter: asyncio.Future[None]) -> None:
        """Complete ``waiter`` at the next append."""
        self._waiters.add(waiter)
        waiter.add_done_callback(self._waiters.discard)

    def _at(self, second: int) -> int:
        """Return the offset of the first record of that second or later; of the next one where
        there is none.
        """
        for segment in self._segments:
            if segment.times and segment.times[-1] >= second:
                return segment.records[bisect.bisect_left(segment.times, second)].offset
        return self._next

    def _drop(self) -> None:
        """Drop the oldest segments while there are too many bytes."""
        while self._bytes > self._max_bytes and len(self._segments) > 1:
            gone = self._segments.popleft()
            self._bytes -= gone.bytes
            self._first = gone.records[-1].offset + 1

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
