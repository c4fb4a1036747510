"""Lease: whether the routers may still count on this gateway, as far as it can know; a shard's suspension when they may not.

The routers believe that a gateway lives for a while after each heartbeat. It holds itself to a shorter time, counted from when the
last heartbeat that the broker confirmed was sent. Beyond it a shard may have a new owner who did not wait for our answer, so nothing is
taken of any shard until its owner has asked us again, after a heartbeat that was confirmed. Time is an argument. The announcer renews
it, the downlink asks it before it takes anything: a process that was frozen notices by the clock, before what has piled up.
"""

from __future__ import annotations


class Lease:
    """One gateway's own lease. It begins as held: there is nobody here yet who could take something wrong."""

    __slots__ = ("_duration_s", "_lapsed", "_shards", "_until", "suspended")

    def __init__(self, shards: int, duration_s: float, now: float) -> None:
        """``duration_s`` has to be less than the routers' by what clocks and the way may make; ``now`` is monotonic seconds everywhere."""
        self._shards = shards
        self._duration_s = duration_s
        self._until = now + duration_s
        self._lapsed = False
        self.suspended: frozenset[int] = frozenset()  # the shards of which nothing is taken

    def lapses(self, now: float) -> bool:
        """Look at the clock. True where the lease has just ended: then all shards are suspended."""
        if now <= self._until or self._lapsed:
            return False
        self._lapsed = True
        self.suspended = frozenset(range(self._shards))
        return True

    def renew(self, sent_at: float, now: float) -> None:
        """Take that the heartbeat that was sent at ``sent_at`` has been confirmed by ``now``. Call ``lapses`` first: an end that nobody
        saw is an end all the same.
        """
        self._until = max(self._until, sent_at + self._duration_s)
        if now <= self._until:
            self._lapsed = False

    def asked(self, shard: int) -> None:
        """Take that the owner of a shard has asked for our members; while the lease is over that says nothing: it may have lain here long."""
        if not self._lapsed:
            self.suspended -= {shard}

    def admits(self, shard: int) -> bool:
        """Say whether what comes of a shard may be taken."""
        return shard not in self.suspended
