"""RoomIndex: names of rooms that begin alike, in order, to be given out by pages.

It is made of sorted runs, each short enough to be made in one turn of a loop, and a page costs what it holds
and a little for each run: nobody waits for the sorting of a million names. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final

RUN: Final = 8_192


class RoomIndex:
    """Of the rooms that there were when it was begun."""

    def __init__(self, prefix: str, names: Sequence[str]) -> None:
        """``names`` are not looked at yet; users' own rooms count only where the prefix asks for them."""
        self.prefix = prefix
        self._names = names
        self._runs: list[list[str]] = []
        self._at = 0

    @property
    def whole(self) -> bool:
        """Whether all names were looked at."""
        return self._at >= len(self._names)

    def step(self) -> None:
        """Look at the next names."""
        prefix, users = self.prefix, self.prefix[:1] == "@"
        names = islice(self._names, self._at, self._at + RUN)
        run = sorted(name for name in names if name.startswith(prefix) and (name[:1] == "@") == users)
        self._at += RUN
        if run:
            self._runs.append(run)

    def after(self, name: str) -> Iterator[str]:
        """Walk the names behind this one, in order. To be asked of a whole one."""
        return merge(*(_behind(run, name) for run in self._runs))


def _behind(run: Sequence[str], name: str) -> Iterator[str]:
    return (run[at] for at in range(bisect_right(run, name), len(run)))
