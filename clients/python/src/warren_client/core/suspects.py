"""Finds out which frame was refused if the server's ERROR does not say so: the candidates are sent again one
at a time, each followed by a PING. The server handles frames in order, so an ERROR before the PONG belongs to
that frame. The number of attempts is bounded. It sends nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from warren_client.core.clock import Clock, Timers
from warren_client.core.entry import Entry
from warren_client.errors import WarrenError

_TRIES = 3  # for one frame; connections may close before the answer


class Suspects:
    """``ask`` sends a PING and returns its id; ``go`` sends what may be sent now."""

    def __init__(
        self, clock: Clock, pong_timeout_ms: float, ask: Callable[[], str], go: Callable[[], None]
    ) -> None:
        """Nothing is suspect."""
        self._ids: dict[str, None] = {}
        self._tried: Entry | None = None  # the entry that was sent alone
        self._ping: str | None = None  # the id of the PING after what was sent
        self._timers = Timers(clock)
        self._pong_timeout_ms = pong_timeout_ms
        self._ask = ask
        self._go = go

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, entry: Entry) -> bool:
        return entry.id in self._ids

    @property
    def next(self) -> str | None:
        """The id of the suspect to send now, if one may be sent."""
        if self._tried is not None or self._ping is not None:
            return None
        return next(iter(self._ids), None)

    def accuse(self, sent: Sequence[Entry], alone: bool, error: WarrenError) -> Entry | None:
        """The server refused one of ``sent``, the unanswered entries. Return which one, if that is clear.
        ``alone``: nothing else was unanswered.
        """
        if self._tried is not None:
            return self._tried
        if self._ping is not None:
            return None  # another of the suspects
        if len(sent) == 1 and alone:
            return sent[0]
        for entry in sent:
            entry.fault = error
            self._ids[entry.id] = None
        if sent:
            self._mark()  # further ERRORs for what was sent so far come before its PONG
        return None

    def is_over(self, entry: Entry) -> bool:
        """Whether an entry has used up its attempts."""
        return entry.id in self._ids and entry.tries >= _TRIES

    def sent(self, entry: Entry) -> None:
        """An entry was sent."""
        if entry.id in self._ids:
            entry.tries += 1
            self._tried = entry
            self._mark()

    def is_mark(self, id: str | None) -> bool:
        """Whether this is the id of the PING after what was sent."""
        return id is not None and id == self._ping

    def answered(self, id: str | None) -> None:
        """A frame was answered: a suspect, or the PING after it."""
        if self.is_mark(id):
            self._passed()
        elif id is not None:
            self.forget(id)

    def forget(self, id: str) -> None:
        """An entry is settled: it is no longer a suspect."""
        self._ids.pop(id, None)
        if self._tried is not None and self._tried.id == id:
            self.pause()

    def pause(self) -> None:
        """Everything unanswered will be sent again; suspects stay suspects."""
        self._tried = self._ping = None
        self._timers.clear()

    def _mark(self) -> None:
        self._ping = self._ask()
        self._timers.after("ping", self._pong_timeout_ms, self._passed)

    def _passed(self) -> None:
        tried = self._tried
        self.pause()
        if tried is not None:
            self._ids.pop(tried.id, None)
        self._go()
