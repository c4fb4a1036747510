"""Room catch-up: gives members of rooms what they lack, from this gateway's memory or read from the router, in order.

Who enters with a position is told JOINED first, once it is proven that what it missed can be had, and then that; live messages
pass it by until it stands where its room stands. Who can't be given all of it is told so (``recovered`` False) and gets none of it. One Read is
under way for each room and serves all who lack something of it; it is repeated until it is answered. It keeps seqs, not messages, and sends
nothing: steps come out, to be carried out in their order. The time is an argument.

The shell calls ``entered`` for each Entered item of the chain (in its place, what came before it is delivered), ``behind`` for the gaps that ``Hub.deliver``
reports, ``page``, ``tick`` and, when a shard has a new speaker, ``renew``; ``left`` whenever a member leaves a room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.hub import Gap, Hub
from gateway.core.recent_messages import RecentMessages
from warren.envelope import Deliver, Entered, Joined, Page, Read
from warren.namespaces import Namespaces


@dataclass(frozen=True, slots=True)
class Tell:
    """Answer a connection with this. Without a ``ref`` nobody asked: something was lost for good (``recovered`` False; also for ``*``)."""

    joined: Joined


@dataclass(frozen=True, slots=True)
class Give:
    """Give these members of a room these messages: ``Hub.give``, and charge them for it."""

    room: str
    conns: tuple[str, ...]
    messages: tuple[Deliver, ...]
    own_upto: int  # up to this seq a member gets its own messages too: it was told how many there are


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the speaker of ``read.shard``; it is repeated by ``tick`` until its page comes."""

    read: Read


Step = Tell | Give | Ask


class RoomCatchUp:
    """Who on this gateway lacks what."""

    def __init__(self, gateway: str, shards: int, hub: Hub, recent: RecentMessages, namespaces: Namespaces) -> None:
        """``hub`` is written to: who enters and where each stands. ``recent`` is the hub's too."""

    def __len__(self) -> int:
        """Return how many members lack something."""
        raise NotImplementedError

    def entered(self, entered: Entered, now: float, now_us: int, *, quiet: bool = False) -> list[Step]:
        """Make a connection a member (``Hub.enter`` is done here). ``quiet``: the gateway asked by itself, so what the member has is not given again.

        The shell asks the session first: an Entered whose JOIN is not open any more (the room was left) must not come here.
        """
        raise NotImplementedError

    def behind(self, gaps: Iterable[Gap], now: float, now_us: int) -> list[Step]:
        """Catch up all members who stand below their room's gap, by themselves: a hole in the chain (behind a Reset, a new life)."""
        raise NotImplementedError

    def page(self, page: Page, now: float, now_us: int) -> list[Step]:
        """Take an answer; one that answers nothing open is dropped."""
        raise NotImplementedError

    def left(self, room: str, conn: str) -> None:
        """Take that a connection is no member of a room any more."""
        raise NotImplementedError

    def renew(self, shard: int, now: float) -> list[Step]:
        """Ask again at once for what is not answered on a shard: its speaker is another."""
        raise NotImplementedError

    def tick(self, now: float) -> list[Step]:
        """Ask again for what has been without an answer for long."""
        raise NotImplementedError
