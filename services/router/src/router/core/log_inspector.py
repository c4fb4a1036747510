"""LogInspector: a person's look into a shard's log, entry by entry: it follows with a fold of its own, so
that it can say what became of each message.

It begins with a fold from before what is to be shown, where there is one. What the fold can't know it does
not say: where offsets jump by more than the broker's own numbering does, or the log's rules are newer than
this code, seqs are unknown from there on. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.core import log_formatting
from router.core.effects import BatchRefused, Effect, UnknownVersion
from router.core.fold import Fold
from warren import envelope as wire
from warren.errors import MalformedEnvelope

_NUMBERING = 2  # a change of segment leaves one number out


class LogInspector:
    """One look."""

    def __init__(self, begin: int, room: str, fold: Fold | None, *, payloads: bool) -> None:
        """Show what stands at ``begin`` and behind it, of ``room`` alone where that is given; ``fold``: as of
        before, None where nothing is known.
        """
        self._begin = begin
        self._room = room
        self._payloads = payloads
        self._fold = fold
        self._last = -1

    def take(self, offset: int, record: bytes) -> list[str]:
        """Return the lines for the entry at ``offset``. One that was taken before gives none."""
        if offset <= self._last:
            return []
        lines = self._jump(offset)
        self._last = offset
        if self._fold is not None and offset <= self._fold.offset:
            return []  # its checkpoint knows it
        became, outcomes = "", None
        if self._fold is not None:
            try:
                became, outcomes = self._apply(self._fold, offset, record)
            except UnknownVersion as error:
                self._fold = None
                lines.append(f"({error}; seqs are not known from here on)")
        if offset < self._begin:
            return []
        at = f"{offset:>10}"
        lines += [
            f"{at}  {line}"
            for line in log_formatting.entry(record, outcomes, became, self._room, payloads=self._payloads)
        ]
        return lines

    def _jump(self, offset: int) -> list[str]:
        if self._last < 0 or offset - self._last <= _NUMBERING:
            return []
        lost = "; seqs are not known from here on" if self._fold is not None else ""
        self._fold = None
        return [f"(no entries from offset {self._last + 1} to {offset - 1}{lost})"]

    def _apply(self, fold: Fold, offset: int, record: bytes) -> tuple[str, Sequence[Effect]]:
        """Return in a word why an entry did not count, empty where it did, and what came of it."""
        skipped = fold.skipped
        head = _batch(record)
        known = fold.gateways.get(head.gateway) if head is not None else None
        outcomes = fold.apply(offset, record)
        if fold.skipped > skipped and not outcomes:
            return "poison", outcomes
        if not fold.life:
            return "before the log's life", outcomes
        if any(isinstance(outcome, BatchRefused) for outcome in outcomes):
            return "of a life that is not there", outcomes
        if head is not None and known is not None and known[0] == head.life and head.number <= known[1]:
            return "repeat", outcomes
        return "", outcomes


def _batch(record: bytes) -> wire.Batch | None:
    try:
        envelopes = wire.decode(record)
    except MalformedEnvelope:
        return None
    return envelopes[0] if envelopes and isinstance(envelopes[0], wire.Batch) else None
