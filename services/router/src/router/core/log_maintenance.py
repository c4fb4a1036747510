"""LogMaintenance: what the speaker of a shard has to write into its log besides messages: Rules, Gone, Mark
and what time it is, and when.

What two speakers write counts once, so it only has to be written soon enough, and not again and again while
it is on its way. Pure: the time is an argument, and what is due is returned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from warren.envelope import Rules

# What is on its way to the log is not written again for so long.
AGAIN_S = 5.0
# A checkpoint is due after so many bytes of entries (and no fewer than the last one took); earlier where time
# has passed, too.
MARK_BYTES = 2 * 1024 * 1024
SOON_US = 60 * 1_000_000
SOON_SHARE = 4
LATE_US = 600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all readers of a log remember at most."""

    ids: int = 65_536
    rooms: int = 65_536
    gone: int = 1_024


@dataclass(frozen=True, slots=True)
class MarkTimes:
    """When a checkpoint is due."""

    bytes: int = MARK_BYTES
    soon_us: int = SOON_US  # with a quarter of the bytes
    late_us: int = LATE_US  # with anything


class LogMaintenance:
    """One shard's."""

    def __init__(self, bounds: Bounds, times: MarkTimes | None = None) -> None:
        """``bounds`` are what the log's Rules should say."""
        self._bounds = bounds
        self._times = times or MarkTimes()
        self._asked: dict[tuple[str, int], float] = {}  # a gateway's life ▶ when its end was put on its way
        self._ruled_at = float("-inf")
        self._put_at = float("-inf")
        self._timed = (0, float("-inf"))  # for what the time was put on its way last, and when that was
        self._bytes = 0  # of entries since the last Mark
        self._marked_us = 0

    def began(self) -> None:
        """We begin to speak: nothing of ours is on its way."""
        self._asked.clear()
        self._ruled_at = self._put_at = float("-inf")
        self._timed = (0, float("-inf"))

    def entered(self, size: int) -> None:
        """An entry of so many bytes was applied, which is no part of a checkpoint."""
        self._bytes += size

    def marked(self, at_us: int) -> None:
        """A Mark was applied."""
        self._bytes, self._marked_us = 0, at_us
        self._put_at = float("-inf")

    def rules(
        self, present: Rules | None, version: int, now: float, *, lost: bool
    ) -> tuple[int, bool] | None:
        """Return the version that new Rules should have, and whether they begin a life anew; None where the
        log needs none.

        ``present`` are the log's own, ``version`` is the highest that all routers know; ``lost``: the state
        before the log's beginning is, so that nothing in it means anything.
        """
        if now < self._ruled_at + AGAIN_S:
            return None
        if present is not None and not lost:
            bounds = Bounds(present.ids, present.rooms, present.gone)
            if bounds == self._bounds and version <= present.version:
                return None
            version = max(version, present.version)
        self._ruled_at = now
        return version, lost

    def ruled(self, now: float) -> None:
        """Rules of ours stand in the log since now: they are to be read before new ones are due."""
        self._ruled_at = now

    def made(self, life: str, version: int, at_us: int, *, anew: bool) -> Rules:
        """Return the Rules to be written."""
        bounds = self._bounds
        return Rules(life, version, bounds.ids, bounds.rooms, bounds.gone, at_us, anew)

    def gone(
        self, gateways: Mapping[str, tuple[int, int]], living: Collection[str], now: float
    ) -> list[tuple[str, int]]:
        """Return the lives that must be ended: those of ``gateways`` that hold no lease. To be asked only
        after a whole lease of listening.
        """
        for life, at in list(self._asked.items()):
            if at + AGAIN_S <= now or gateways.get(life[0], (0, 0))[0] != life[1]:
                del self._asked[life]
        due = [(name, life) for name, (life, _) in gateways.items() if name not in living]
        due = [life for life in due if life not in self._asked]
        self._asked.update(dict.fromkeys(due, now))
        return due

    def time(self, due_us: int | None, now: float, now_us: int) -> bool:
        """Say whether the log has to be told what time it is, since something in it is due at ``due_us`` by
        that (None: nothing); then it is taken to be on its way for a while.
        """
        if due_us is None or due_us > now_us or (self._timed[0] == due_us and now < self._timed[1] + AGAIN_S):
            return False
        self._timed = due_us, now
        return True

    def mark(self, now: float, now_us: int, size: int) -> bool:
        """Say whether a checkpoint is due, where one takes about ``size`` bytes; then it is taken to be on
        its way for a while.
        """
        times, waited_us = self._times, now_us - self._marked_us
        enough = max(times.bytes, size)
        due = (
            self._bytes >= enough
            or (self._bytes >= enough // SOON_SHARE and waited_us >= times.soon_us)
            or (self._bytes > 0 and waited_us >= times.late_us)
        )
        if not due or now < self._put_at + AGAIN_S:
            return False
        self._put_at = now
        return True
