"""MissingHellos: lives of gateways that ask to be fed and that the log does not know: do they begin later in
it, or never?

A gateway asks only once its Hello is confirmed. So an entry that is written after it has asked stands behind
that Hello: when it has been read, and the life is not known, its Hello did not count (the log's own life had
not begun then, say), and the gateway is told so. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

# An entry that has not come back for so long is written again.
AGAIN_S = 5.0
MOST = 4_096


class MissingHellos:
    """One shard's."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._asked: dict[str, int] = {}  # gateway ▶ its life, since the last entry was written
        self._before: dict[str, int] = {}  # likewise, before it was
        self._entry = 0  # the time in the entry that is on its way, which tells it from others
        self._put_at = 0.0

    def heard(self, gateway: str, life: int) -> None:
        """A gateway asks to be fed from its Hello on, and the log knows no such life."""
        if len(self._asked) < MOST:  # beyond it they ask again
            self._asked[gateway] = life

    def forget(self) -> None:
        """We speak no more, or begin to."""
        self._asked.clear()
        self._before.clear()
        self._entry = 0

    def due(self, now: float, now_us: int) -> int:
        """Return the time that an entry is to be written with now; 0: none is needed. Then it is taken to be
        on its way.
        """
        waits = self._entry and now < self._put_at + AGAIN_S
        if waits or not (self._asked or self._before):
            return 0
        self._before |= self._asked
        self._asked.clear()
        self._entry, self._put_at = now_us, now
        return now_us

    def passed(self, at_us: int, gateways: Mapping[str, tuple[int, int]]) -> list[tuple[str, int]]:
        """An entry with this time was read; ``gateways`` are those that the log knows. Return the lives that
        never began.
        """
        if at_us != self._entry:
            return []
        before, self._before, self._entry = self._before, {}, 0
        return [(name, life) for name, life in before.items() if gateways.get(name, (0, 0))[0] < life]
