"""SessionReceipts: the messages of which one connection wants to know what becomes of them, until it has been
told.

What is not told in time is told as not known: a router that has died may have known it. Bounded by
``OPEN_MAX``. Rights are those of the room's namespace; what is refused is raised as a ProtocolError. It sends
nothing. The time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.core.client_messages import ClientMessage, Receipt
from warren import envelope
from warren.errors import ErrorCode, ProtocolError
from warren.log_entries import RECEIPT_LEVELS, RECEIPT_NONE, RECEIPT_SEEN, RECEIPT_WRITTEN
from warren.namespaces import RoomPolicy

OPEN_MAX: Final = 32
# Longer than a router waits before it says what it knows.
WAIT_S: Final = {RECEIPT_WRITTEN: 35.0, RECEIPT_SEEN: 65.0}


class _Open(msgspec.Struct, frozen=True):
    room: str
    level: int
    due: float


def level_of(message: ClientMessage, policy: RoomPolicy, *, ephemeral: bool) -> int:
    """Return what a message asks to be told of it: one of the RECEIPT_ values. Raise where its sender may not
    ask for that.
    """
    level = RECEIPT_LEVELS.get(message.receipt, RECEIPT_NONE)
    if not level:
        return level
    if level > RECEIPT_LEVELS.get(policy.receipts, RECEIPT_NONE):
        raise ProtocolError(
            ErrorCode.FORBIDDEN, f"receipt: this room does not tell what is {message.receipt}"
        )
    if not message.id:
        raise ProtocolError(ErrorCode.INVALID_MESSAGE, "receipt: needs an id, by which the RECEIPT is known")
    if ephemeral and level == RECEIPT_SEEN:
        raise ProtocolError(
            ErrorCode.INVALID_MESSAGE,
            "receipt: messages of this type have no number, so nobody can say that it has seen them",
        )
    return level


class SessionReceipts:
    """One connection's; who never asks for any has none."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        """Return for how many messages something is waited for."""
        return len(self._open)

    def ask(self, ref: str, room: str, level: int, now: float) -> None:
        """Wait for what becomes of this message. Raises OVERLOADED where too much is waited for."""
        if len(self._open) >= OPEN_MAX and ref not in self._open:
            raise ProtocolError(ErrorCode.OVERLOADED, f"receipt: at most {OPEN_MAX} may be waited for")
        self._open.pop(ref, None)
        self._open[ref] = _Open(room, level, now + WAIT_S[level])

    def refused(self, ref: str) -> None:
        """Wait no more: the message was not taken."""
        self._open.pop(ref, None)

    def told(self, said: envelope.Receipt) -> Receipt | None:
        """A router says what has become of a message; return what the client is told: None where it is not
        waited for (any more).
        """
        asked = self._open.get(said.id)
        if asked is None or asked.room != said.room or not RECEIPT_WRITTEN <= said.level <= asked.level:
            return None
        if said.level == asked.level:
            del self._open[said.id]
        if said.level == RECEIPT_SEEN:
            return Receipt(said.id, said.room, said.complete, max(0, said.readers), said.seen)
        return Receipt(said.id, said.room, said.complete)

    def expire(self, now: float) -> list[Receipt]:
        """Return of which the client is told that it is not known."""
        over = [(ref, asked) for ref, asked in self._open.items() if asked.due <= now]
        for ref, _ in over:
            del self._open[ref]
        return [
            Receipt(ref, asked.room, complete=False, seen=0 if asked.level == RECEIPT_SEEN else None)
            for ref, asked in over
        ]
