"""LogCapacity: whether the gateways may write more than a shard's log keeps, while no router reads it.

What each gateway may have in a log that no router has counted is bounded; where those bounds together are
more than the log surely keeps, it can lose messages unread. Pure.
"""

from __future__ import annotations


class LogCapacity:
    """One installation's."""

    def __init__(self, kept_bytes: int) -> None:
        """``kept_bytes`` is what a log keeps at least."""
        self.kept_bytes = kept_bytes
        self._exceeded = False

    def judge(self, uplink_bytes: int) -> bool | None:
        """Say whether ``uplink_bytes`` of all gateways together are too many; None: that is as it was."""
        before, self._exceeded = self._exceeded, uplink_bytes > self.kept_bytes
        return None if self._exceeded is before else self._exceeded
