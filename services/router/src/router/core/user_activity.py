"""UserActivity: since when users are online, and when they were last seen, as far as a reader of the log has
seen it.

It is told of comings and goings, and knows nothing of before. Bounded: those of whom nothing was heard for
longest are forgotten first, and then it says that it does not know. It decides nothing about who is there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

USERS_MAX: Final = 65_536


class UserActivity:
    """Of the users of one shard."""

    def __init__(self, most: int = USERS_MAX) -> None:
        """Nobody was seen."""
        self._most = most
        self._since: OrderedDict[str, int] = OrderedDict()
        self._seen: OrderedDict[str, int] = OrderedDict()

    def came(self, user: str, at_us: int, connections: int) -> None:
        """A user has ``connections`` now, the last of which came at this time."""
        if connections == 1:
            self._put(self._since, user, at_us)

    def left(self, user: str, at_us: int, connections: int) -> None:
        """A user has ``connections`` left, one having gone at this time."""
        if not connections:
            self._since.pop(user, None)
            self._put(self._seen, user, at_us)

    def since_us(self, user: str) -> int | None:
        """Return since when a user who is online is that; None: not known."""
        return self._since.get(user)

    def last_seen_us(self, user: str) -> int | None:
        """Return when the last connection of a user who is not online ended; None: not known."""
        return self._seen.get(user)

    def _put(self, table: OrderedDict[str, int], user: str, at_us: int) -> None:
        table.pop(user, None)
        table[user] = at_us
        if len(table) > self._most:
            table.popitem(last=False)
