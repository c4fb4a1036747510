"""PartWindow: how many parts of answers wait for one client, so that a service which answers faster than the
client reads is stopped before it takes the place of everything else.

What a client takes it takes in order, so a part has been taken once as many messages were as had been put
when it was. It holds no part and counts no messages itself.
"""

from __future__ import annotations

from collections import deque
from typing import Final

# So many parts of all answers together may wait for one client.
WAITING_MAX: Final = 64


class PartWindow:
    """One connection's."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        """Begin with none waiting."""
        self._places: deque[int] = deque()

    def admits(self, taken: int, waiting: int) -> bool:
        """Say whether one more may wait, where ``taken`` messages were taken so far and ``waiting`` wait."""
        places = self._places
        if not waiting:
            places.clear()
        while places and places[0] <= taken:
            places.popleft()
        return len(places) < WAITING_MAX

    def put(self, place: int) -> None:
        """Note that a part waits: it is the ``place``-th message of all that the client is given."""
        self._places.append(place)
