"""Requests to services that have no last word yet. A request waits in the outbox until it is answered; a
durable one that was accepted waits here for the message with its answer. Each is settled once, and its parts
come once, in order. Bounded: the outbox limits what waits in it, ``outbox_limit`` what waits here, and
``PARTS`` the parts that wait for a reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from warren_client.core.clock import Clock, Timers
from warren_client.core.encode import Question, request_text
from warren_client.core.entry import Entry
from warren_client.core.feed import Feed
from warren_client.core.outbox import Outbox
from warren_client.core.outcome import Outcome
from warren_client.errors import ConnectError, RefusedError, RequestTimeoutError, WarrenError
from warren_client.messages import Message
from warren_client.options import Options

PARTS = 256
_GRACE_MS = 1_000  # the server's own time-out comes first, unless the connection is lost


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer."""

    payload: Any
    is_last: bool


@dataclass(slots=True, eq=False)
class Asked:
    """A request without its last word. ``parts`` is there if somebody reads the answer in parts."""

    question: Question
    entry: Entry
    parts: Feed[Part] | None
    n: int = field(default=0, init=False)
    is_accepted: bool = field(default=False, init=False)
    outcome: Outcome[Any] = field(default_factory=Outcome, init=False)


class Requests:
    """All requests of a client. ``cancel`` tells the server that nobody waits for an answer any more."""

    def __init__(self, options: Options, clock: Clock, outbox: Outbox, cancel: Callable[[str], None]) -> None:
        """Nothing is asked."""
        self._asked: dict[str, Asked] = {}
        self._limit = options.outbox_limit
        self._clock = clock
        self._timers = Timers(clock)
        self._outbox = outbox
        self._cancel = cancel

    @property
    def is_full(self) -> bool:
        """Whether as many wait for the answer to a durable request as may."""
        return sum(asked.is_accepted for asked in self._asked.values()) >= self._limit

    def get(self, id: str | None) -> Asked | None:
        """Return the request of this id."""
        return self._asked.get(id) if id is not None else None

    def ask(self, question: Question, parts: Feed[Part] | None) -> Asked:
        """Ask. Raises InvalidError if the server would refuse it."""
        text = request_text(question, self._clock.wall)
        entry = Entry(question.id, "REQUEST", lambda: text)
        asked = Asked(question, entry, parts)
        self._asked[question.id] = asked
        self._wait(asked)
        self._outbox.add(entry)
        return asked

    def answered(self, message: Message) -> bool:
        """A RESPONSE: an answer, or a part of one. Return whether it was asked for here."""
        asked = self.get(message.ref)
        if asked is None:
            return False
        if message.n <= asked.n:
            return True
        asked.n = message.n
        if asked.parts is not None:
            if len(asked.parts.items) >= PARTS:
                slow = f"{PARTS} parts of the answer wait to be read"
                self.give_up(asked, RefusedError("overloaded", slow, retry=True, ref=message.ref))
                return True
            asked.parts.put(Part(message.payload, not message.more))
        if message.more:
            self._wait(asked)
        elif self._over(asked):
            asked.outcome.resolve(message.payload)
        return True

    def accepted(self, ref: str | None) -> None:
        """The answer to a durable request will come as a message."""
        asked = self.get(ref)
        if asked is not None and asked.question.durable:
            self._timers.cancel(asked.entry.id)
            self._outbox.settle(asked.entry.id)
            asked.is_accepted = True

    def refused(self, id: str, error: WarrenError) -> None:
        """An ERROR answers it."""
        asked = self.get(id)
        if asked is not None:
            self._fail(asked, error)

    def give_up(self, asked: Asked, error: WarrenError) -> None:
        """Nobody waits for the answer any more."""
        is_sent = asked.entry.sent_at is not None and not asked.is_accepted
        if self._fail(asked, error) and is_sent:
            self._cancel(asked.entry.id)

    def down(self, why: WarrenError | None) -> None:
        """The connection is closed; with ``why``, for good. What has parts of an answer can't go on
        elsewhere.
        """
        for asked in list(self._asked.values()):
            lost = "the connection was lost in the middle of an answer"
            if why is not None:
                self._fail(asked, why)
            elif asked.n > 0 and not asked.is_accepted:
                self._fail(asked, ConnectError(lost, ref=asked.entry.id))

    def _wait(self, asked: Asked) -> None:
        timeout_ms = asked.question.timeout_ms
        if timeout_ms is None or asked.question.durable:
            return
        late = RequestTimeoutError(timeout_ms / 1_000, asked.entry.id)
        self._timers.after(asked.entry.id, timeout_ms + _GRACE_MS, lambda: self.give_up(asked, late))

    def _fail(self, asked: Asked, error: WarrenError) -> bool:
        if not self._over(asked):
            return False
        if asked.parts is not None:
            asked.parts.end(error)
        asked.outcome.reject(error)
        return True

    def _over(self, asked: Asked) -> bool:
        id = asked.entry.id
        if self._asked.get(id) is not asked:
            return False
        self._timers.cancel(id)
        if self._outbox.get(id) is asked.entry:
            self._outbox.settle(id)
        del self._asked[id]
        return True
