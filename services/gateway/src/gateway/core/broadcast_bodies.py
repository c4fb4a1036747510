"""Feed bodies: messages that went out to all gateways at once, until the feeds that name them come.

Bounded in bytes: the oldest make room. A feed that names one which is not here any more is a gap, and is
asked for again; so nothing is lost by the bound. Pure.
"""

from __future__ import annotations

from warren.envelope import Bodies, Deliver, size_of
from warren.position import LogPosition


class BroadcastBodies:
    """Messages by their place in the log."""

    def __init__(self, limit: int) -> None:
        """Hold at most ``limit`` bytes."""
        self.bytes = 0
        self._limit = limit
        self._held: dict[LogPosition, Deliver] = {}

    def __len__(self) -> int:
        """Return how many messages are held."""
        return len(self._held)

    def put(self, bodies: Bodies, mine: LogPosition | None) -> None:
        """Keep messages; those up to ``mine``, which no feed will name any more, are passed over."""
        known = mine if mine is not None and mine.life == bodies.life else None
        for offset, index, message in bodies.messages:
            place = LogPosition(bodies.life, offset, index)
            if place in self._held or (known is not None and place <= known):
                continue
            self._held[place] = message
            self.bytes += size_of(message)
        while self.bytes > self._limit:
            self._remove(next(iter(self._held)))

    def get(self, place: LogPosition) -> Deliver | None:
        """Return the message of that place, where it is here."""
        return self._held.get(place)

    def passed(self, mine: LogPosition) -> None:
        """No feed will name what lies up to ``mine``, or in another life of the log: let go of it."""
        # They came in the order of the log but for repeats and changes of the speaker: what stays behind one
        # that is ahead goes by the bound.
        while self._held:
            place = next(iter(self._held))
            if place.life == mine.life and place > mine:
                return
            self._remove(place)

    def _remove(self, place: LogPosition) -> None:
        self.bytes -= size_of(self._held.pop(place))
