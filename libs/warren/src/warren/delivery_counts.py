"""DeliveryCounts: for how many connections of a gateway a message was what. Numbers alone: it knows no
connection, and is changed by whoever gives messages out and whoever lets go of them.

By example: of ten members one has sent the message, eight are given it, and of one, who reads too slowly, it
is withheld: written 8, withheld 1. Later one of the eight is cut off before it was written to its socket:
written 7, withheld 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

# What CPython 3.11 takes for one with its numbers, and for its place among the others of its room.
COUNTS_BYTES: Final = 96


class DeliveryCounts(msgspec.Struct, gc=False, eq=False):
    """One message's, on one gateway. ``size`` is what the message takes where it is kept, with this: to ask
    for that again when it goes would take longer than all the counting.
    """

    size: int
    written: int = 0  # to their sockets, or it waits for these
    withheld: int = 0  # they read too slowly, or have gone before it was written
    expired: int = 0  # they would have been given it, but it had expired
    whole: bool = True  # False: what was before the message was read from a router is not among it


def withhold(counts: Iterable[DeliveryCounts]) -> None:
    """What waited for one connection does so no more, and was not written."""
    for one in counts:
        one.written -= 1
        one.withheld += 1
