"""The messages of which this client wants to know what becomes of them, until it is told or gives up: then
their receipts say ``complete`` False. What is open when the connection is lost, or what the server has no
place for, is asked by sending the message again: its id makes that harmless. Bounded: so many are asked for
at a time, kept in all, and kept as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from warren_client.core.clock import Clock, Timers
from warren_client.core.encode import with_receipt
from warren_client.core.entry import Entry
from warren_client.core.outbox import Outbox
from warren_client.core.outcome import Outcome
from warren_client.messages import Receipt, ReceiptLevel

_ASKED = 32  # the server takes no more of one connection
_KEPT = 100
_KEPT_LENGTH = 256 * 1024  # of all texts that may be sent again
# the server's own time-out comes first, unless it knows nothing of receipts
_WAIT_MS: dict[str, float] = {"written": 45_000.0, "seen": 75_000.0}
_AGAIN_MS = (
    60_000  # after its ACK: later the server may have forgotten the id, and take the message for a new one
)
_LEVELS: dict[str, tuple[ReceiptLevel, ...]] = {"written": ("written",), "seen": ("written", "seen")}


@dataclass(slots=True, eq=False)
class Wanted:
    """A message and the receipts of it that are open."""

    id: str
    room: str | None
    level: str
    text: str | None
    waiting: dict[str, Outcome[Receipt]]
    outcomes: Mapping[str, Outcome[Receipt]]
    is_asked: bool = field(default=False, init=False)
    acked_at: int | None = field(default=None, init=False)


class Receipts:
    """All receipts of a client."""

    def __init__(self, clock: Clock, outbox: Outbox) -> None:
        """Nothing is wanted."""
        self._open: dict[str, Wanted] = {}
        self._is_open = False  # the connection
        self._clock = clock
        self._timers = Timers(clock)
        self._outbox = outbox

    def want(self, id: str, room: str | None, level: str, text: str) -> tuple[Wanted, Callable[[], str]]:
        """Want a receipt of a message. Return the record of it, and what builds the message's frame."""
        if id in self._open:
            self._end(self._open[id])
        outcomes: dict[str, Outcome[Receipt]] = {each: Outcome() for each in _LEVELS[level]}
        wanted = Wanted(id, room, level, text, dict(outcomes), outcomes)
        if sum(len(each.text or "") for each in self._open.values()) + len(text) > _KEPT_LENGTH:
            wanted.text = None
        if len(self._open) < _KEPT:
            self._open[id] = wanted
        return wanted, lambda: with_receipt(text, level) if self._ask(wanted) else text

    def acked(self, wanted: Wanted, room: str | None, seq: int | None) -> None:
        """The message is accepted; ``seq`` is None if it is not numbered."""
        wanted.room, wanted.acked_at = room, self._clock.wall
        if seq is None:
            wanted.text = None  # sent again, it would be another message
        if self._open.get(wanted.id) is not wanted:
            return self._give_up(wanted)
        self._wait(wanted)
        return self._next()

    def told(self, ref: str | None, payload: Mapping[str, Any]) -> None:
        """A RECEIPT has arrived."""
        wanted = self._open.get(ref) if ref is not None else None
        if wanted is None or payload.get("level") not in wanted.waiting:
            return
        complete = payload.get("complete") is True
        for level in list(wanted.waiting):
            # a message that all have seen is written, and of another one that is not known if it was not told
            is_it = level == payload["level"]
            self._tell(wanted, level, complete, payload if is_it else {})
            if is_it:
                break
        if not wanted.waiting:
            self._end(wanted)

    def refused(self, id: str) -> None:
        """The message was refused, or the question that was sent again; or nobody waits for it."""
        if id in self._open:
            self._end(self._open[id])

    def opened(self) -> None:
        """A new connection: ask again."""
        self._is_open = True
        self._next()

    def down(self, for_good: bool) -> None:
        """The connection is closed."""
        self._is_open = False
        for wanted in list(self._open.values()):
            wanted.is_asked = False
            if for_good or (wanted.acked_at is not None and wanted.text is None):
                self._end(wanted)

    def _next(self) -> None:
        """Ask for what is not asked yet, as far as the server has a place for it."""
        for wanted in list(self._open.values()):
            at = wanted.acked_at
            if not self._is_open or wanted.is_asked or at is None or self._open.get(wanted.id) is not wanted:
                continue
            if wanted.text is None or self._clock.wall - at > _AGAIN_MS:
                self._end(wanted)
            elif self._ask(wanted):
                self._wait(wanted)
                text = with_receipt(wanted.text, wanted.level)
                build = _constant(text)
                self._outbox.add(Entry(wanted.id, "RECEIPT", build, wanted.room, once=True, yields=True))

    def _ask(self, wanted: Wanted) -> bool:
        """Whether the server has a place for this one."""
        if self._open.get(wanted.id) is not wanted:
            return False
        if not wanted.is_asked:
            wanted.is_asked = sum(each.is_asked for each in self._open.values()) < _ASKED
        return wanted.is_asked

    def _wait(self, wanted: Wanted) -> None:
        self._timers.after(wanted.id, _WAIT_MS[wanted.level], lambda: self._end(wanted))

    def _end(self, wanted: Wanted) -> None:
        """Wait for nothing more of a message."""
        if self._open.get(wanted.id) is not wanted:
            return
        del self._open[wanted.id]
        self._timers.cancel(wanted.id)
        entry = self._outbox.get(wanted.id)
        if entry is not None and entry.kind == "RECEIPT":
            self._outbox.settle(wanted.id)
        if wanted.acked_at is not None:
            self._give_up(wanted)  # otherwise nobody waits for it
        self._next()

    def _give_up(self, wanted: Wanted) -> None:
        for level in list(wanted.waiting):
            self._tell(wanted, level, False, {})

    def _tell(self, wanted: Wanted, level: str, complete: bool, payload: Mapping[str, Any]) -> None:
        kind: ReceiptLevel = "seen" if level == "seen" else "written"
        readers, seen = payload.get("readers"), payload.get("seen")
        wanted.waiting.pop(level).resolve(Receipt(wanted.id, wanted.room, kind, complete, readers, seen))


def _constant(text: str) -> Callable[[], str]:
    return lambda: text
