"""RouterLeases: the leases of all routers, which their heartbeats renew; what each can apply, and how far
each shard's speaker has got.

How far a speaker had got is remembered when it is gone: the next one goes on from there. Pure: times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from warren.envelope import RouterHeartbeat, SpeakerProgress
from warren.lease import Leases


class RouterLeases(Leases[RouterHeartbeat]):
    """The leases of all routers. A router's id is new for each of its lives."""

    def __init__(self, lease_s: float) -> None:
        """``lease_s``: how long a router lives without a heartbeat."""
        super().__init__(lease_s)
        self._progress: dict[int, SpeakerProgress] = {}

    def heartbeat(self, beat: RouterHeartbeat, now: float) -> bool:
        """Renew a router's lease; True where it is new."""
        for progress in beat.shards:
            self._note(progress)
        return self.renew(beat.router, beat, now)

    def speaking(self, shard: int) -> frozenset[str]:
        """Return the living routers that say they speak for a shard."""
        return frozenset(
            router
            for router, beat in self.all_said().items()
            if any(progress.shard == shard for progress in beat.shards)
        )

    def progress(self, shard: int, life: str = "") -> SpeakerProgress | None:
        """Return how far the speakers of a shard have got as far as they have said, whoever of them lives;
        ``life``: of this life of the log only.
        """
        found = self._progress.get(shard)
        return found if found is not None and life in ("", found.life) else None

    def common_version(self, own: int, routers: Iterable[str]) -> int:
        """Return the highest version of the fold that these routers and we (``own``) can apply; one that has
        not said is taken to know the first.
        """
        beats = (self.said(router) for router in routers)
        return min([own, *(max(1, beat.fold_version) for beat in beats if beat is not None)])

    def _note(self, progress: SpeakerProgress) -> None:
        """Remember the farthest of what is said of one life; another life counts from its beginning."""
        known = self._progress.get(progress.shard)
        if known is not None and known.life == progress.life:
            events, mark = max(known.events, progress.events), max(known.mark, progress.mark)
            progress = SpeakerProgress(progress.shard, progress.life, events, mark)
        self._progress[progress.shard] = progress
