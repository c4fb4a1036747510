"""Capacity: when a pod has so many connections that new ones had better go elsewhere, before it has to refuse
them.

It says so until it has clearly fewer again, so that a pod at the border does not come and go. It counts
nothing itself and owns no probe.
"""

from __future__ import annotations

# By how many points of a hundred the load must fall before the pod takes new connections again.
MARGIN_PERCENT = 5


class Capacity:
    """How full one pod is."""

    def __init__(self, most: int, full_percent: int) -> None:
        """``most``: how many it takes at most (0: any number); ``full_percent``: from where on it is full (0:
        never).
        """
        self._full_from = most * full_percent / 100 if most and full_percent else float("inf")
        self._free_below = most * max(0, full_percent - MARGIN_PERCENT) / 100
        self._full = False

    def full(self, connections: int) -> bool:
        """Say whether a pod with so many connections is full. Ask whenever the answer is wanted: it remembers
        the last one.
        """
        self._full = connections >= self._full_from or (self._full and connections > self._free_below)
        return self._full
