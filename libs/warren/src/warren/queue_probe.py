"""QueueProbe: whether what is sent to a process's own queue would reach it.

A process can be taken for dead and its queue cut off, or somebody deletes what the queue was bound to: then
nothing comes, and nothing says so. A probe is an empty batch to the queue's key, mandatory (AMQP
``basic.publish``), so that the broker returns it where no queue has it. Two returns in a row count, since a
broker may learn of a binding late. It never waits for the probe to be consumed: that would take a slow broker
for an unreachable queue.
"""

from __future__ import annotations

from warren import envelope
from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable

RETURNS = 2  # in a row
_NOTHING = envelope.encode([])
_PROPERTIES = Properties(content_type=envelope.CONTENT_TYPE)


class QueueProbe:
    """Probes the queue of one process."""

    def __init__(self, bus: Bus, exchange: str, key: str) -> None:
        """``exchange`` and ``key`` are those by which the queue is reached."""
        self._bus = bus
        self._exchange = exchange
        self._key = key
        self._returned = 0

    @property
    def doubtful(self) -> bool:
        """Whether the last probe was returned, and the one before was not."""
        return self._returned > 0

    async def unreachable(self) -> bool:
        """Send one probe; True where it was returned for the second time in a row. Then the count begins
        anew. False also where the broker is away or confirms nothing.
        """
        try:
            await self._bus.publish(
                self._exchange, self._key, _NOTHING, _PROPERTIES, mandatory=True, persistent=False
            )
        except (BusUnavailable, NotConfirmed):
            return False
        except Unroutable:
            self._returned += 1
            if self._returned < RETURNS:
                return False
            self._returned = 0
            return True
        self._returned = 0
        return False
