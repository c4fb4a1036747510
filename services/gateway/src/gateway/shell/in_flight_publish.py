"""InFlightPublish: one envelope on its way up, from its offer to its answer, with the span of its sending.

It only keeps what belongs together, and decides nothing.
"""

from __future__ import annotations

from gateway.core.batch_numbers import Entry
from warren import envelope
from warren.errors import WarrenError, code_of
from warren.telemetry import BATCH_COUNT, Hop

# What an answer is to; the last part of a key.
MESSAGE = "message"
LEAVE = "leave"

Control = envelope.Join | envelope.Leave | envelope.Watch | envelope.Inform | envelope.Seen
Up = envelope.Publish | Control


class InFlightPublish(Entry):
    """``key`` is that of the answer that its sender waits for: connection, id, room and what it is to; empty
    where none comes. An id is its sender's for one room only, and a message and a leave may share it.

    A message has to count, and so has a leave that is answered; who wants to join asks again by itself.
    """

    __slots__ = ("answered", "conn", "deadline", "hop", "id", "key", "offered_at", "shard")

    def __init__(
        self, up: Up, shard: int, offered_at: float, deadline: float, hop: Hop | None = None
    ) -> None:
        """``hop`` is the span of its sending, which ends with ``settle``."""
        is_message = isinstance(up, envelope.Publish)
        self.conn, self.id = (up.conn, up.id) if isinstance(up, envelope.Publish) else ("", "")
        self.key: tuple[str, ...] = ()
        if self.id[:1] == envelope.INTERNAL_ID:
            self.id = ""
        if isinstance(up, envelope.Leave):
            if up.ref:
                self.key = (up.conn, up.ref, up.rooms[0], LEAVE)
        elif self.id and self.conn:
            self.key = (self.conn, self.id, up.room, MESSAGE)
        kept = is_message or bool(self.key)
        super().__init__(up, envelope.size_of(up), kept=kept, charged=is_message, awaited=bool(self.key))
        self.shard = shard
        self.offered_at = offered_at
        self.deadline = deadline
        self.hop = hop
        self.answered = False  # nobody waits for anything of it any more

    @property
    def waits(self) -> bool:
        """Whether it is not known to have counted, or its sender still waits for an answer."""
        return not self.answered and (self.awaited or (self.envelope is not None and not self.counted))

    def settle(self, batch: int = 0, error: WarrenError | None = None) -> None:
        """End the span, with the batch's count or the error."""
        hop, self.hop = self.hop, None
        if hop is not None:
            if error is not None:
                hop.fail(code_of(error))
            elif batch:
                hop.set(BATCH_COUNT, batch)
            hop.end()
