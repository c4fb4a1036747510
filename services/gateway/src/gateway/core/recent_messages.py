"""RecentMessages: the last numbered messages of each room that has members here, for those who come back and
for HISTORY.

A room's are without a hole, in one epoch, and end where the hub's room stands: the hub puts them as the chain
of feeds brings them, and what was read from the router may go before them. What can't be told from here (a
hole, another epoch, what is older than what is kept, or what the room's policy does not keep) is None: the
router has to be asked. Bytes are bounded for each room and over all, where the largest lose their oldest
first. With each message goes for how many connections here it was what (DeliveryCounts), for as long as it is
kept. Pure: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from warren.delivery_counts import DeliveryCounts
from warren.envelope import Deliver
from warren.message_windows import COUNTED_WINDOW_BYTES, WINDOW_BYTES, MessageWindow, MessageWindows
from warren.namespaces import Namespaces
from warren.position import Position

# An answer to HISTORY has at most so many messages and so much of payload and overhead, as the router's.
PAGE_COUNT: Final = 100
PAGE_BYTES: Final = 256 * 1024
# So many are kept though a room's policy keeps fewer, and for so long: for who is a member already and
# catches up.
LEAST_COUNT: Final = 256
LEAST_US: Final = 60_000_000


class RecentMessages:
    """The last messages of this gateway's rooms."""

    def __init__(self, namespaces: Namespaces, room_bytes: int, all_bytes: int) -> None:
        """Keep at most ``room_bytes`` of each room and ``all_bytes`` of all; nothing of rooms whose policy
        keeps no history.
        """
        self._namespaces = namespaces
        self._room_bytes = WINDOW_BYTES + COUNTED_WINDOW_BYTES + room_bytes
        self._windows = MessageWindows(all_bytes, counted=True)  # each with at least one message

    def __len__(self) -> int:
        """Return how many rooms there is something of."""
        return len(self._windows)

    @property
    def bytes(self) -> int:
        """How many bytes all of it takes."""
        return self._windows.bytes

    @property
    def evicted(self) -> int:
        """How many messages went for their bytes, since the beginning."""
        return self._windows.evicted

    def begin(self, room: str, position: Position) -> None:
        """From here on what comes is contiguous: the room stands at ``position``. What is kept stays where it
        ends just there.
        """
        window = self._windows.get(room)
        if window is not None and (window.epoch != position.epoch or window.last != position.seq):
            self.forget(room)

    def put(self, message: Deliver) -> DeliveryCounts | None:
        """Keep a room's next message. One that does not follow the last begins the room's memory anew.

        Return its counts, to be written to; None where it is not kept.
        """
        room, windows = message.room, self._windows
        window = windows.get(room)
        if window is not None and (window.epoch != message.epoch or window.last + 1 != message.seq):
            self.forget(room)
            window = None
        if window is None:
            policy = self._namespaces.policy(room).history
            if not policy.kept:
                return None
            window = windows.open(room, message.epoch, policy)
        if message.trace:  # it belongs to that delivery
            message = msgspec.structs.replace(message, trace="")
        counts = windows.append(window, message)
        count, kept = window.policy.count, len(window.messages)
        if kept > count and kept > LEAST_COUNT:
            windows.shrink(window)
        if window.bytes > self._room_bytes:
            self._bound(window)
        windows.relieve()
        return counts

    def counts(self, room: str, epoch: str, seq: int) -> DeliveryCounts | None:
        """Return a message's counts; None where it is not kept (any more)."""
        window = self._windows.get(room)
        return window.counts_of(seq) if window is not None and window.epoch == epoch else None

    def extend(self, position: Position, messages: Sequence[Deliver]) -> None:
        """Keep messages of a room that were read from the router, before those that are kept; ``position`` is
        where the room stands.

        They are without a hole; those that do not reach up to what is kept (or to the position, where nothing
        is) are passed over.
        """
        if not messages or messages[0].epoch != position.epoch:
            return
        room = messages[0].room
        window = self._windows.get(room)
        last = position.seq if window is None else window.first - 1
        at = last - messages[0].seq
        policy = self._namespaces.policy(room).history
        if (
            not policy.kept
            or not 0 <= at < len(messages)
            or (window is not None and window.epoch != position.epoch)
        ):
            return
        if window is None:
            window = self._windows.open(room, position.epoch, policy)
        place = max(policy.count, LEAST_COUNT) - len(window.messages)
        kept: list[Deliver] = []
        size = 0
        for message in reversed(messages[: at + 1]):
            size += self._windows.size(message)
            if len(kept) >= place or window.bytes + size > self._room_bytes:
                break
            kept.append(message)
        self._windows.prepend(window, kept)
        self._bound(window)
        self._windows.relieve()

    def forget(self, room: str) -> None:
        """Forget a room: it has no members here any more."""
        self._windows.close(room)

    def since(self, room: str, position: Position, upto: Position, now_us: int) -> list[Deliver] | None:
        """Return the messages after ``position`` up to ``upto`` for who comes back: only what the policy
        keeps. None: can't be told from here.
        """
        if position.epoch != upto.epoch or not 0 <= position.seq <= upto.seq:
            return None
        missed = self.between(room, position, upto.seq)
        if not missed:
            return missed
        policy = self._namespaces.policy(room).history
        oldest_us = now_us - policy.age_s * 1_000_000
        if len(missed) > policy.count or any(message.at_us < oldest_us for message in missed):
            return None
        return missed

    def between(self, room: str, after: Position, upto: int) -> list[Deliver] | None:
        """Return the messages after ``after`` up to the seq ``upto`` for who has been a member since,
        whatever the policy says.
        """
        if upto <= after.seq:
            return []
        window = self._windows.get(room)
        if window is None or window.epoch != after.epoch:
            return None
        return window.between(after.seq, upto)

    def page(self, room: str, before: int, limit: int, now_us: int) -> tuple[list[Deliver], bool] | None:
        """Return what the router's History would: the last ``limit`` messages before the seq ``before`` (0:
        before now), at most 256 KiB but one in any case, and whether there are older ones; without what has
        expired or is too old. None: can't be told from here.
        """
        policy = self._namespaces.policy(room).history
        if not policy.kept:
            return [], False
        window = self._windows.get(room)
        if window is None:
            return None
        limit, oldest_us = max(1, min(limit, PAGE_COUNT)), now_us - policy.age_s * 1_000_000
        page, more = window.page(before, limit, PAGE_BYTES, oldest_us=oldest_us, now_us=now_us)
        if not more and len(window.messages) < policy.count and window.first > 1:
            return None  # the router may have older ones
        return page, more

    def tidy(self, now_us: int, rooms: int) -> None:
        """Look at so many rooms, each in its turn, for what has aged, so that silent ones keep nothing for
        ever. To be called again and again.
        """
        for window in self._windows.in_turn(rooms):
            limit = now_us - max(window.policy.age_s * 1_000_000, LEAST_US)
            while window.messages and window.messages[0].at_us < limit:
                self._windows.shrink(window)
            if not window.messages:
                self.forget(window.room)

    def _bound(self, window: MessageWindow) -> None:
        """Drop the oldest of a room while it is too large; one that has nothing is forgotten."""
        while window.bytes > self._room_bytes and window.messages:
            self._windows.evict(window)
        if not window.messages:
            self.forget(window.room)
