"""BackendReplies: answers to backends at the queues that they name (AMQP's ``reply_to``): the one way in
which a router gives them.

An answer is published once, to the default exchange. It is lost where its queue is gone, or the broker does
not confirm it. **None goes to a queue of Warren's own**: a router may publish to the logs by their names, and
would else do so for whoever may only ask. It knows nothing of what is answered.
"""

from __future__ import annotations

from warren.bus import Bus, Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable
from warren.topology import Topology


class BackendReplies:
    """One router's."""

    def __init__(self, bus: Bus, topology: Topology) -> None:
        """``topology`` says which queues are Warren's own."""
        self._bus = bus
        self._topology = topology

    def may_reply(self, queue: str) -> bool:
        """Say whether an answer may go to a queue of this name."""
        return bool(queue) and not self._topology.is_own(queue)

    async def send(self, queue: str, body: bytes, properties: Properties) -> bool:
        """Send an answer; False where it is lost, or the queue may not be answered to."""
        if not self.may_reply(queue):
            return False
        # Of direct reply-to, what was delivered comes back as well.
        mandatory = not self._topology.is_direct_reply(queue)
        try:
            await self._bus.publish("", queue, body, properties, mandatory=mandatory, persistent=False)
        except (BusUnavailable, NotConfirmed, Unroutable):
            return False
        return True
