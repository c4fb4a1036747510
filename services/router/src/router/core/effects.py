"""Effects: what a shard asks the worker to do, in the order in which it must be done.

Plain frozen values, nothing else. ``core/shard.py`` makes them, ``core/plan.py`` sorts them by destination, ``shell/worker.py`` carries
them out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from warren import envelope as wire

# In the place of gateways: the message is for every gateway, known or not.
EVERY: Final = ("*",)


class Deliver(msgspec.Struct, frozen=True):
    """Bring ``message`` to each of ``gateways`` (or EVERY)."""

    gateways: tuple[str, ...]
    message: wire.Deliver


class Reply(msgspec.Struct, frozen=True):
    """Tell one gateway something that concerns itself or one of its connections."""

    gateway: str
    message: wire.Joined | wire.Left | wire.Ack | wire.Refused | wire.Ask


class Tell(msgspec.Struct, frozen=True):
    """Tell every gateway, known or not."""

    message: wire.Ask


class Reject(msgspec.Struct, frozen=True):
    """Set ``message`` aside with a ``reason``: it can't be handled."""

    message: wire.Envelope
    reason: str


Effect = Deliver | Reply | Tell | Reject
