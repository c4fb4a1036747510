"""RouterReadiness: what this router still lacks to do its part, as its probes tell it.

It only reads. A router that lacks anything works on with what it has.
"""

from __future__ import annotations

from router.core.peers import Peers
from router.core.placement import Placement
from router.shell.router_context import RouterContext
from router.shell.shards import Shards
from warren.probes import Readiness


class RouterReadiness:
    """One router's."""

    def __init__(self, context: RouterContext, peers: Peers, placement: Placement, shards: Shards) -> None:
        """It is asked by whoever it is registered with."""
        self._bus = context.bus
        self._clock = context.clock
        self._peers = peers
        self._placement = placement
        self._shards = shards

    def register(self, readiness: Readiness) -> None:
        """Have the probes ask for everything."""
        readiness.register("bus", self.bus)
        readiness.register("inbox", self.inbox)
        readiness.register("shards", self.shards)

    def bus(self) -> str | None:
        """Return why the broker takes nothing; None where it does."""
        if not self._bus.up:
            return "the broker is away"
        blocked = "the broker holds back what is published (a memory or disk alarm)"
        return blocked if self._bus.blocked else None

    def inbox(self) -> str | None:
        """Return why nothing can be heard of the others; None where it can."""
        listening = self._peers.listening_s(self._clock.monotonic()) >= 0
        return None if listening else "not listening yet"

    def shards(self) -> str | None:
        """Return why this router does not do its part for each shard; None: a message passes at once."""
        if self._shards.outdated:
            return self._shards.outdated
        if not self._placement.announced:
            listening = not self._placement.routers
            return "listening to the other routers" if listening else "reading the logs of its shards"
        waiting = self._shards.unprepared
        return f"{waiting} of {len(self._shards)} shards are not taken yet" if waiting else None
