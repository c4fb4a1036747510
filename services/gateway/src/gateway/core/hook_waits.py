"""HookWaits: the messages of one connection that wait for a backend's decision, and those that wait behind
them.

What a client says to one room keeps its order: while a JOIN or a message to a room is being decided, what
follows to that room waits. Bounded: beyond that the client is not read. It decides nothing and keeps no
rights.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gateway.core.client_messages import ClientMessage

# Messages that may wait behind one that is being decided.
BEHIND_MAX: Final = 16
# Questions that one connection may have open at a time.
OPEN_MAX: Final = 8
# Bytes of payloads from which on nothing more is read.
BYTES_MAX: Final = 64 * 1024

# What a message takes besides its payload.
_MESSAGE_BYTES: Final = 256


class Held(NamedTuple):
    """A message that waits: ``name`` is its type where that is Warren's own, else empty; ``at_us`` is when it
    came, µs since the Unix epoch.
    """

    message: ClientMessage
    name: str
    room: str
    at_us: int
    trace: str

    @property
    def bytes(self) -> int:
        """What it takes, roughly."""
        return _MESSAGE_BYTES + len(self.message.payload)


class HookWaits:
    """One connection's. A question is known by a ticket."""

    __slots__ = ("_behind", "_open", "bytes")

    def __init__(self) -> None:
        """Begin with nothing."""
        self._open: dict[int, Held] = {}
        self._behind: dict[str, deque[Held]] = {}  # of each room of which something is being decided
        self.bytes = 0

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read of the client."""
        return (
            len(self._open) >= OPEN_MAX
            or self.bytes >= BYTES_MAX
            or any(len(behind) >= BEHIND_MAX for behind in self._behind.values())
        )

    def holds(self, room: str) -> bool:
        """Say whether a message to this room has to wait."""
        return room in self._behind

    def ask(self, ticket: int, held: Held) -> None:
        """Note that a message is being decided under a new ticket. Of each room one is, at a time."""
        self._open[ticket] = held
        self._behind.setdefault(held.room, deque())
        self.bytes += held.bytes

    def put(self, held: Held) -> None:
        """Let a message wait behind the one that is being decided for its room."""
        self._behind[held.room].append(held)
        self.bytes += held.bytes

    def decided(self, ticket: int) -> Held | None:
        """Return the message whose question is answered; None: it does not wait (any more)."""
        held = self._open.pop(ticket, None)
        if held is not None:
            self.bytes -= held.bytes
        return held

    def following(self, room: str) -> Held | None:
        """Return the next message to a room whose last one was dealt with; None: it has to wait, or there is
        none.
        """
        if any(held.room == room for held in self._open.values()):
            return None
        behind = self._behind[room]
        if not behind:
            del self._behind[room]
            return None
        held = behind.popleft()
        self.bytes -= held.bytes
        return held
