"""Up to where this user has seen rooms, and when that is said: at once at first, then at most once a second
in each room, the last word each time. It is said before the room is left or the client is closed, and again
on the next connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren_client.core.clock import Clock, Timers
from warren_client.core.encode import control_text
from warren_client.core.entry import Entry
from warren_client.core.outbox import Outbox
from warren_client.errors import WarrenError
from warren_client.messages import Position

_EVERY_MS = 1_000.0


@dataclass(slots=True)
class _Report:
    """``is_said`` and ``is_refused`` on this connection."""

    position: Position
    is_said: bool = False
    is_refused: bool = False
    due_at: float = 0.0
    ref: str | None = None


class SeenReports:
    """What is said by SEEN."""

    def __init__(self, clock: Clock, outbox: Outbox, new_id: Callable[[], str]) -> None:
        """``new_id`` returns an id for a frame."""
        self._reports: dict[str, _Report] = {}
        self._joined: set[str] = set()  # rooms that we are in on this connection
        self._clock = clock
        self._outbox = outbox
        self._new_id = new_id
        self._timers = Timers(clock)

    def saw(self, room: str, position: Position) -> None:
        """The user has seen the room up to here. What is not above what was seen before is no news."""
        report = self._reports.get(room)
        if report is None:
            report = self._reports[room] = _Report(position, due_at=self._clock.now)
        elif report.position.epoch == position.epoch and report.position.seq >= position.seq:
            return
        report.position = position
        report.is_said = False
        self._plan(room, report)

    def joined(self, room: str, epoch: str) -> None:
        """We are in a room: say what was seen there, unless it is another epoch's."""
        self._joined.add(room)
        report = self._reports.get(room)
        if report is not None and report.position.epoch == epoch:
            self._plan(room, report)
        else:
            self._drop(room)

    def leaving(self, room: str) -> None:
        """We are about to leave a room: say the last word there now."""
        report = self._reports.pop(room, None)
        if report is not None:
            self._outbox.settle(report.ref)  # it may wait behind other frames, and LEAVE does not
            self._say(room, report, yields=False)
        self._timers.cancel(room)
        self._joined.discard(room)

    def closing(self) -> None:
        """We are about to close the connection: say the last word everywhere."""
        for room, report in list(self._reports.items()):
            self._say(room, report)

    def forget(self, room: str) -> None:
        """We are no longer in a room."""
        self._joined.discard(room)
        self._drop(room)

    def refused(self, error: WarrenError) -> None:
        """The server has refused a frame: say it again later, or no more on this connection."""
        if error.ref is None:
            return
        for room, report in self._reports.items():
            if report.ref == error.ref:
                self._timers.cancel(room)
                report.is_said, report.is_refused = False, not error.retry
                after_ms = (error.retry_after or 0.0) * 1_000
                report.due_at = self._clock.now + max(_EVERY_MS, after_ms)
                self._plan(room, report)
                return

    def down(self) -> None:
        """The connection is closed."""
        self._joined.clear()
        self._timers.clear()
        for report in self._reports.values():
            report.is_said = report.is_refused = False

    def _plan(self, room: str, report: _Report) -> None:
        wait = report.due_at - self._clock.now
        if wait <= 0:
            self._say(room, report)
        elif not self._timers.has(room):
            self._timers.after(room, wait, lambda: self._say(room, report))

    def _say(self, room: str, report: _Report, *, yields: bool = True) -> None:
        is_waiting = self._outbox.get(report.ref) is not None
        if report.is_said or report.is_refused or room not in self._joined or is_waiting:
            return
        self._timers.cancel(room)
        id = report.ref = self._new_id()

        def build() -> str:
            report.is_said, report.due_at = True, self._clock.now + _EVERY_MS
            # the newest, although it may have waited
            seen = {"epoch": report.position.epoch, "seq": report.position.seq}
            return control_text("SEEN", room, seen, id, self._clock.wall)

        self._outbox.add(Entry(id, "SEEN", build, room, once=True, yields=yields))

    def _drop(self, room: str) -> None:
        self._timers.cancel(room)
        report = self._reports.pop(room, None)
        if report is not None:
            self._outbox.settle(report.ref)
