"""Passage: a stretch of a shard's log, from some place in it on: what of it may count, and whether it tells enough.

A log may be long and its end mostly suffices: a whole checkpoint, and all entries that are young enough to matter. A stretch that does not
begin at the beginning may hide the marker of an owner and show what a fenced one wrote after it; an entry of a higher term without its
marker before it gives that away, and what lower terms wrote before it is left out. Pure; ``shell/follower.py`` fills one when it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from warren.envelope import Checkpoint, Deliver, Envelope, Marker


class Passage:
    """One stretch, in the order of the log."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._entries: list[Envelope] = []
        self._begin = 0  # of the entries that may count
        self._marked = 0  # the highest term whose marker, or whose first entry, has come

    def take(self, envelopes: Iterable[Envelope]) -> None:
        """Take what comes next."""
        for envelope in envelopes:
            match envelope:
                case Marker(term=term):
                    self._marked = max(self._marked, term)
                case Deliver(term=term) | Checkpoint(term=term) if term > self._marked:
                    self._marked = term
                    self._begin = len(self._entries)
                case _:
                    pass
            self._entries.append(envelope)

    def entries(self) -> Iterator[Envelope]:
        """Yield what may count; who replays it still drops what stands behind a marker of a later term."""
        return iter(self._entries[self._begin :])

    def tells_enough(self, horizon_us: int) -> bool:
        """Say whether the log before this stretch can be done without: it has a whole checkpoint that counts, and begins with an entry that is
        ``horizon_us`` older than its newest one.
        """
        began = told = False
        highest = oldest_us = newest_us = 0
        for envelope in self.entries():
            match envelope:
                case Deliver(term=term, at_us=at_us):
                    began = True
                    if term >= highest:
                        highest = term
                        oldest_us = oldest_us or at_us
                        newest_us = max(newest_us, at_us)
                case Checkpoint(term=term, last=last):
                    # The parts before the first one that is seen whole may lie before this stretch.
                    told = told or (began and last and term >= highest)
                    began = began or last
                case Marker(term=term):
                    began = True
                    highest = max(highest, term)
                case _:
                    pass
        return told and bool(oldest_us) and oldest_us <= newest_us - horizon_us
