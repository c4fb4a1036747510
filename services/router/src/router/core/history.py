"""History: of each room of a shard the last numbered messages, for those who come back; what it can't prove
to be whole it does not give.

A room's window ends at the room's position and has no hole. It keeps the policy's count, and beyond the count
what is younger than a floor: whoever was left behind when a shard's speaker died must find what a busy room
said within those seconds. How young a message is, is told by the room's newest, not by a clock, so that the
log tells the same windows again. The policy's age is told by the clock, on asking. Bytes are the hard bound
of each window and of all together. Pages stay within the policy's count and age. Pure: the time is an
argument, and a message's age counts from when Warren took it in.
"""

from __future__ import annotations

from warren.envelope import Deliver
from warren.message_windows import WINDOW_BYTES, MessageWindow, MessageWindows
from warren.namespaces import HistoryPolicy
from warren.position import Position

# After so many messages, so many rooms are looked at for what has aged.
TIDY_EVERY = 16
TIDY_ROOMS = 4


class History:
    """The windows of a shard's rooms.

    For example with a count of 3 and a floor of 10 s: of a room that says a message a second the last 11 are
    kept, of one that says one a minute the last 3.
    """

    def __init__(self, room_bytes: int, all_bytes: int, floor_us: int) -> None:
        """Keep at most ``room_bytes`` of each room and ``all_bytes`` of all; within that, whatever is younger
        than ``floor_us`` (0: only what the room's policy says).
        """
        self._room_bytes = WINDOW_BYTES + room_bytes
        self._floor_us = floor_us
        self._windows = MessageWindows(all_bytes)
        self._untidied = 0  # messages since rooms were looked at

    def __len__(self) -> int:
        """Return how many rooms have a window."""
        return len(self._windows)

    @property
    def bytes(self) -> int:
        """How much memory all windows take."""
        return self._windows.bytes

    @property
    def evicted(self) -> int:
        """How many messages went for their bytes, since the beginning."""
        return self._windows.evicted

    def put(self, message: Deliver, policy: HistoryPolicy, now_us: int) -> None:
        """Keep a room's next message. One that does not follow the last begins the window anew."""
        windows = self._windows
        window = windows.get(message.room) or windows.open(message.room, message.epoch, policy)
        messages = window.messages
        if messages and (window.epoch != message.epoch or messages[-1].seq + 1 != message.seq):
            windows.shrink(window, len(messages))
        window.epoch = message.epoch
        windows.append(window, message)
        if len(window.messages) > window.policy.count or window.bytes > self._room_bytes:
            self._trim(window, message.at_us)
            if not window.messages:
                windows.close(message.room)
                return
        if windows.relieve():
            self._trim(window, message.at_us)
        self._untidied += 1
        if self._untidied >= TIDY_EVERY:
            self._untidied = 0
            self.tidy(now_us, TIDY_ROOMS)

    def since(self, position: Position, current: Position, room: str, now_us: int) -> list[Deliver] | None:
        """Return the messages after ``position`` up to ``current``, the room's own; None where that can't be
        told (another epoch, too old, from the future).
        """
        if position.epoch != current.epoch or position.seq < 0:
            return None
        if position.seq == current.seq:
            return []
        window = self._windows.get(room)
        if position.seq > current.seq or window is None:
            return None
        self._age(window, now_us)
        if window.epoch != current.epoch or not window.messages or window.last != current.seq:
            return None
        return window.between(position.seq, current.seq)

    def page(
        self, room: str, before: int, limit: int, max_bytes: int, now_us: int
    ) -> tuple[list[Deliver], bool]:
        """Return the last ``limit`` messages before the seq ``before`` (0: before now) in their order, and
        whether there are older ones.

        At most ``max_bytes`` of payload and overhead, but one message in any case; what has expired is passed
        over, and so is what is kept only for the floor.
        """
        window = self._windows.get(room)
        if window is None:
            return [], False
        self._age(window, now_us)
        oldest_us = now_us - window.policy.age_s * 1_000_000
        return window.page(before, limit, max_bytes, oldest_us=oldest_us, now_us=now_us)

    def find(self, room: str, epoch: str, seq: int) -> Deliver | None:
        """Return the message of this number; None where it is not kept (any more)."""
        window = self._windows.get(room)
        if window is None or window.epoch != epoch or not window.messages:
            return None
        at = seq - window.messages[0].seq
        return window.messages[at] if 0 <= at < len(window.messages) else None

    def drop(self, room: str) -> None:
        """Forget a room."""
        self._windows.close(room)

    def tidy(self, now_us: int, rooms: int) -> None:
        """Look at so many rooms, each in its turn, for what has aged, so that silent ones keep nothing for
        ever. To be called again and again.
        """
        for window in self._windows.in_turn(rooms):
            self._age(window, now_us)
            if not window.messages:
                self._windows.close(window.room)

    def _trim(self, window: MessageWindow, newest_us: int) -> None:
        """Drop from the front what neither the count nor the floor keeps, and what the window's bytes have no
        room for.

        Gateways' clocks differ, so what stands behind a message that went for its bytes may be older than it:
        both rules are asked each time. Each message comes once and goes once: however many are kept, one
        costs no more.
        """
        windows, messages, floor_us = self._windows, window.messages, self._floor_us
        while messages:
            beyond = len(messages) > window.policy.count
            if beyond and (not floor_us or messages[0].at_us <= newest_us - floor_us):
                windows.shrink(window)
            elif window.bytes > self._room_bytes:
                windows.evict(window)
            else:
                return

    def _age(self, window: MessageWindow, now_us: int) -> None:
        """Drop what is too old for the policy and for the floor."""
        oldest_us = now_us - max(window.policy.age_s * 1_000_000, self._floor_us)
        while window.messages and window.messages[0].at_us < oldest_us:
            self._windows.shrink(window)
