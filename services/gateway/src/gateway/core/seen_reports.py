"""SeenReports: up to where connections of this gateway have seen rooms' messages, and when that is said in
the rooms' logs: at once at first, then at most once in ``EVERY_S`` for each connection and room, the last
word each time.

What was said is kept while the connection is in the room, as a new life on the shard has to say it again. It
sends nothing; what comes out is to be sent in its order, and ``unsent`` is told where that was not possible.
The time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from warren.envelope import Seen

EVERY_S: Final = 1.0

_Key = tuple[str, str]  # room, connection


class _Report:
    """One connection's, of one room."""

    __slots__ = ("due", "said", "shard")

    def __init__(self, said: Seen, shard: int, due: float) -> None:
        self.said = said
        self.shard = shard
        self.due = due  # when the next word may be sent


class SeenReports:
    """One gateway's."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._reports: dict[str, dict[str, _Report]] = {}  # room ▶ connection
        self._waiting: OrderedDict[_Key, None] = OrderedDict()  # what is not sent

    def __len__(self) -> int:
        """Return how many wait to be sent."""
        return len(self._waiting)

    def saw(self, said: Seen, shard: int, now: float) -> None:
        """Take what a connection has seen; what is not above what it said before of the same epoch is no
        news.
        """
        there = self._reports.setdefault(said.room, {})
        report = there.get(said.conn)
        if report is None:
            there[said.conn] = _Report(said, shard, now)
        elif report.said.epoch == said.epoch and report.said.seq >= said.seq:
            return
        else:
            report.said = said
        self._waiting[said.room, said.conn] = None

    def due(self, now: float, is_ready: Callable[[int], bool]) -> list[tuple[Seen, int]]:
        """Return what is to be sent now, each with its shard; only to shards that are ready for that. It
        looks at all that waits.
        """
        found = (self.due_of(room, conn, now, is_ready) for room, conn in list(self._waiting))
        return [each for each in found if each is not None]

    def due_of(
        self, room: str, conn: str, now: float, is_ready: Callable[[int], bool]
    ) -> tuple[Seen, int] | None:
        """Return what is to be sent now of one connection and room, likewise; None: nothing."""
        if (room, conn) not in self._waiting:
            return None
        report = self._reports[room][conn]
        if report.due > now or not is_ready(report.shard):
            return None
        del self._waiting[room, conn]
        report.due = now + EVERY_S
        return report.said, report.shard

    def left(self, room: str, conn: str) -> tuple[Seen, int] | None:
        """The connection goes from a room; return what is to be sent before that is said: None where that is
        nothing.
        """
        there = self._reports.get(room)
        report = there.pop(conn, None) if there is not None else None
        if there is None or report is None:
            return None
        if not there:
            del self._reports[room]
        waited = (room, conn) in self._waiting
        self._waiting.pop((room, conn), None)
        return (report.said, report.shard) if waited else None

    def unsent(self, said: Seen) -> None:
        """Have what found no place on its way wait again."""
        if said.conn in self._reports.get(said.room, ()):
            self._waiting[said.room, said.conn] = None

    def again(self, shard: int) -> None:
        """What was said of a shard is to be said again: it may not be known there."""
        for room, there in self._reports.items():
            for conn, report in there.items():
                if report.shard == shard:
                    self._waiting[room, conn] = None

    def shards(self) -> dict[int, str]:
        """Return the shards to which something waits to be sent, each with a room of it."""
        return {self._reports[room][conn].shard: room for room, conn in self._waiting}
