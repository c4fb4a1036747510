"""QueueProbe: whether what is sent to a process's own queue would reach it.

A process can be taken for dead, and its door closed, or somebody deletes what its queue was bound to: then
nothing comes, and nothing says so. So each process knocks at its own door with its heartbeat: an empty batch
to its own key, mandatory. That it comes back undelivered is a plain answer; it counts from the second time in
a row, since a broker may learn of a binding late. It never waits to hear itself: that would take a slow
broker for a closed door. A gateway's announcer and a router's owner knock.
"""

from __future__ import annotations

from warren import envelope
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable

TIMES = 2
_NOTHING = envelope.encode([])
_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


class QueueProbe:
    """One process's own door."""

    def __init__(self, bus: Bus, exchange: str, key: str) -> None:
        """``exchange`` and ``key`` are those by which its own queue is reached."""
        self._bus = bus
        self._exchange = exchange
        self._key = key
        self._unanswered = 0

    async def shut(self) -> bool:
        """Knock; True where nobody was behind the door, twice in a row. Then it counts from the beginning."""
        try:
            await self._bus.publish(
                self._exchange, self._key, _NOTHING, _PROPERTIES, mandatory=True, persistent=False
            )
        except (BusUnavailable, NotConfirmed):
            return False  # not known
        except Unroutable:
            self._unanswered += 1
            if self._unanswered < TIMES:
                return False
            self._unanswered = 0
            return True
        self._unanswered = 0
        return False
