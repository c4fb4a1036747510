"""Sending: one envelope on its way up, from its offer to its confirm, and for a message with an id to its answer.

It only keeps what belongs together; the uplink decides when it is settled.
"""

from __future__ import annotations

from warren import envelope
from warren.errors import WarrenError, code_of
from warren.telemetry import BATCH_COUNT, Hop

Control = envelope.Join | envelope.Leave | envelope.Resume | envelope.HistoryQuery | envelope.Inquiry
Up = envelope.Publish | Control


class Sending:
    """``envelope`` is None once it needs not be sent (any more). ``conn`` is empty for all but messages, ``id`` where no answer comes.

    ``doubted``: its answer may be lost, and is to be asked for once it is confirmed.
    """

    __slots__ = (
        "answered",
        "conn",
        "deadline",
        "doubted",
        "envelope",
        "hop",
        "id",
        "offered_at",
        "room",
        "shard",
        "user",
    )

    def __init__(self, up: Up, shard: int, offered_at: float, deadline: float, hop: Hop | None = None) -> None:
        """``hop`` is the span of its sending, which ends with ``settle``."""
        self.shard = shard
        self.envelope: Up | None = up
        self.offered_at = offered_at
        self.deadline = deadline
        self.hop = hop
        self.conn = self.id = self.room = self.user = ""
        if isinstance(up, envelope.Publish):
            self.conn, self.id, self.room, self.user = up.conn, up.id, up.room, up.user
        if self.id[:1] == envelope.INTERNAL_ID:
            self.id = ""
        self.answered = False
        self.doubted = False

    @property
    def waits(self) -> bool:
        """Whether it is still to be sent, or its sender still waits for an answer."""
        return self.envelope is not None or (bool(self.id) and not self.answered)

    def settle(self, batch: int = 0, error: WarrenError | None = None) -> None:
        """End the sending: the payload is let go, and the span ends, with the batch's count or the error."""
        self.envelope = None
        hop, self.hop = self.hop, None
        if hop is not None:
            if error is not None:
                hop.fail(code_of(error))
            elif batch:
                hop.set(BATCH_COUNT, batch)
            hop.end()
