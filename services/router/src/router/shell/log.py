"""ShardLog: one shard's stream in the hands of its owner: entries appended and confirmed on the lane.

It appends on the lane alone, so who no longer gets the shard's deliveries can't write either. An append that is not confirmed is never
repeated here: nobody knows whether it stands in the log, so the shard must be taken over again. ``possession.py`` builds one for each lane;
the worker appends, ``accession.py`` puts the marker. Who reads is ``follower.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from warren.bus import Lane
from warren.envelope import Checkpoint, Deliver, Envelope, Marker, encode, size_of

RECORD_BYTES = 262_144


class ShardLog:
    """One shard's stream, as long as the lane lives."""

    def __init__(self, lane: Lane, stream: str, router: str) -> None:
        """``router`` is who writes."""
        self._lane = lane
        self._stream = stream
        self._router = router

    async def append(self, entries: Sequence[Deliver | Checkpoint | Marker]) -> None:
        """Append in order; return when all are confirmed. Raises NotConfirmed, BusUnavailable, Unroutable: the fate of some is not known."""
        # One record after the other: were the first lost and the second kept, the log would have a hole.
        for record in _records(entries):
            await self._lane.append(self._stream, encode(record))

    async def mark(self, term: int) -> None:
        """Append our marker. Raises as ``append``."""
        await self.append([Marker(self._router, term)])


def _records(entries: Sequence[Envelope]) -> Iterator[Sequence[Envelope]]:
    """Split into records of a bounded size, at least one entry each."""
    record: list[Envelope] = []
    size = 0
    for entry in entries:
        more = size_of(entry)
        if record and size + more > RECORD_BYTES:
            yield record
            record, size = [], 0
        record.append(entry)
        size += more
    if record:
        yield record
