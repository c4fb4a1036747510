"""Once: which events were handled already, so that a repeat counts for nothing.

``MemoryOnce`` remembers the latest of one process. An application that must count exactly once over its own
crashes brings its own ``Once``: in one transaction with what the event changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

REMEMBERED: Final = 100_000


class Once(Protocol):
    """Tells whether a key is new, around the handling of what it names."""

    def claim(self, key: str) -> AbstractAsyncContextManager[bool]:
        """Enter: True where ``key`` was not handled before. Leave without an exception: it counts as handled;
        with one: it does not. One key is never claimed twice at the same time by one process.
        """
        ...


class MemoryOnce:
    """Remembers the latest ``limit`` keys of this process; beyond that the oldest are forgotten."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._keys: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._keys)

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[bool]:
        """Tell whether the key is new; remember it where the block ends without an exception."""
        new = key not in self._keys
        yield new
        self._keys[key] = None
        self._keys.move_to_end(key)
        while len(self._keys) > self._limit:
            self._keys.popitem(last=False)
