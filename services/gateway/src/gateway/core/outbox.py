"""Outbox: what waits for one connection while its transport can't take more. Bounded in count and bytes.

Policy when full: above the soft limit ephemeral messages are dropped; beyond the hard limit the connection is too slow and
what waits is thrown away with it (the shell closes it with 4005), for a numbered message is never dropped in silence. It never looks
into a chunk, which is one or several whole WebSocket frames. The hub and the connection put, the connection takes.
"""

from __future__ import annotations

import enum

from gateway.core.limits import OutboxLimits


class Put(enum.Enum):
    """What became of a chunk."""

    KEPT = "kept"
    DROPPED = "dropped"
    TOO_SLOW = "too_slow"


KEPT, DROPPED, TOO_SLOW = Put.KEPT, Put.DROPPED, Put.TOO_SLOW
_DEFAULT_LIMITS = OutboxLimits()


class Outbox:
    """A bounded queue of chunks. ``count`` (messages) and ``bytes`` are what waits now; read them, don't write them."""

    __slots__ = ("_chunks", "_limits", "bytes", "count", "dropped", "lost")

    def __init__(self, limits: OutboxLimits = _DEFAULT_LIMITS) -> None:
        """Begin empty. ``limits`` may be shared by all connections."""
        self._limits = limits
        self._chunks: list[tuple[bytes, int]] = []
        self.bytes = 0
        self.count = 0
        self.dropped = 0  # ephemeral messages dropped so far
        self.lost = False  # it was too slow: nothing is kept any more

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._chunks

    @property
    def pressed(self) -> bool:
        """Whether ephemeral messages are dropped now."""
        return self.bytes > self._limits.soft_bytes

    def put(self, chunk: bytes, count: int = 1, ephemeral: bool = False) -> Put:
        """Let ``chunk``, which holds ``count`` messages, wait. ``ephemeral``: all of them may be dropped.

        A chunk of any size fits an empty outbox. TOO_SLOW comes once; after it everything is DROPPED.
        """
        size = self.bytes + len(chunk)
        limits = self._limits
        if self._chunks:
            if ephemeral and size > limits.soft_bytes:
                self.dropped += count
                return DROPPED
            if size > limits.bytes or self.count + count > limits.count:
                self.discard()
                return TOO_SLOW
        elif self.lost:
            return DROPPED
        self._chunks.append((chunk, count))
        self.bytes = size
        self.count += count
        return KEPT

    def take(self, max_bytes: int) -> list[bytes]:
        """Take out the oldest chunks, in order: at least one (where any waits), else as many as ``max_bytes`` lets."""
        chunks = self._chunks
        if self.bytes <= max_bytes:
            self._chunks = []
            self.bytes = self.count = 0
            return [chunk for chunk, _ in chunks]
        taken = size = count = 0
        for chunk, messages in chunks:
            if taken and size + len(chunk) > max_bytes:
                break
            taken += 1
            size += len(chunk)
            count += messages
        self._chunks = chunks[taken:]
        self.bytes -= size
        self.count -= count
        return [chunk for chunk, _ in chunks[:taken]]

    def discard(self) -> None:
        """Throw away what waits and keep nothing from now on."""
        self._chunks = []
        self.bytes = self.count = 0
        self.lost = True
