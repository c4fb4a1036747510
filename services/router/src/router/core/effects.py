"""Effects: what a shard asks the worker to do, in the order in which it must be done.

Plain frozen values, nothing else. ``core/shard.py`` makes them, ``core/plan.py`` sorts them by destination, ``shell/worker.py`` carries
them out.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from warren import envelope as wire
from warren.address import gateway_of

# In the place of gateways: the message is for every gateway, known or not.
EVERY: Final = ("*",)

EventKind = Literal["client.connected", "client.disconnected", "room.joined", "room.left", "message"]


class Append(msgspec.Struct, frozen=True):
    """Write ``entry`` to the shard's log, and have it confirmed before anything else of the batch leaves."""

    entry: wire.Deliver | wire.Checkpoint


class Deliver(msgspec.Struct, frozen=True):
    """Bring ``message`` to each of ``gateways`` (or EVERY)."""

    gateways: tuple[str, ...]
    message: wire.Deliver


class Reply(msgspec.Struct, frozen=True):
    """Tell one gateway something that concerns itself or one of its connections."""

    gateway: str
    message: (
        wire.Joined | wire.Left | wire.Ack | wire.Refused | wire.Ask | wire.Deliver | wire.Resync | wire.HistoryPage
    )


class Tell(msgspec.Struct, frozen=True):
    """Tell every gateway, known or not."""

    message: wire.Ask


class Emit(msgspec.Struct, frozen=True):
    """Tell backends what happened at ``at_us`` (µs since the Unix epoch): to ``conn`` in ``room``, or that ``message`` was accepted there.

    ``reason`` of one that left: ``left``, ``gone`` (its gateway's lease has ended) or ``lost`` (its gateway does not know it any more).
    """

    kind: EventKind
    room: str
    at_us: int
    conn: str = ""
    user: str = ""
    reason: str = ""
    message: wire.Deliver | None = None

    @property
    def gateway(self) -> str:
        """The gateway that holds the connection; named anew for each of its lives."""
        return gateway_of(self.conn)

    @property
    def generation(self) -> int:
        """The connection's number in its gateway: a later connection there has a higher one."""
        number = self.conn.partition("~")[2]
        try:
            return int(number, 16)
        except ValueError:
            return 0


class Reject(msgspec.Struct, frozen=True):
    """Set ``message`` aside with a ``reason``: it can't be handled."""

    message: wire.Envelope
    reason: str


Effect = Append | Deliver | Reply | Tell | Emit | Reject
