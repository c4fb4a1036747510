"""Answers that were given, by the id of the request, so that a repeat gets the same one and the service is
not asked again.

``MemoryAnswers`` keeps the latest of one process; an application may bring a store that several processes
share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from warren_backend.core.request import Part


class Answers(Protocol):
    """Keeps whole answers. Both may do I/O; what they raise is logged and counts as not known."""

    async def get(self, request_id: str) -> Sequence[Part] | None:
        """Return the answer that was given under this id; None: not known."""
        ...

    async def put(self, request_id: str, parts: Sequence[Part]) -> None:
        """Keep an answer."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    parts: tuple[Part, ...]
    size: int
    until: float


class MemoryAnswers:
    """Keeps at most ``count`` answers and ``limit_bytes``, each for ``ttl_s``; the oldest go first."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        count: int = 4_096,
        limit_bytes: int = 16 * 1024 * 1024,
        ttl_s: float = 120.0,
    ) -> None:
        """``clock`` returns seconds that only grow."""
        self._clock = clock
        self._count = count
        self._limit = limit_bytes
        self._ttl_s = ttl_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    async def get(self, request_id: str) -> Sequence[Part] | None:
        """Return the answer that was given under this id."""
        self._expire()
        kept = self._kept.get(request_id)
        return None if kept is None else kept.parts

    async def put(self, request_id: str, parts: Sequence[Part]) -> None:
        """Keep an answer, if it is not larger than all that may be kept."""
        self._forget(request_id)
        size = sum(len(part.body) + 256 for part in parts)
        if size > self._limit:
            return
        self._kept[request_id] = _Kept(tuple(parts), size, self._clock() + self._ttl_s)
        self._bytes += size
        self._expire()
        while len(self._kept) > self._count or self._bytes > self._limit:
            self._forget(next(iter(self._kept)))

    def _expire(self) -> None:
        now = self._clock()
        # each is kept equally long, so the oldest stand first
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._forget(next(iter(self._kept)))

    def _forget(self, request_id: str) -> None:
        if (kept := self._kept.pop(request_id, None)) is not None:
            self._bytes -= kept.size
