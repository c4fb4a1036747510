"""The bounded queue of frames that wait to be sent or answered. It sends in order, and no faster than the
server allows. Every frame in it has an id, so it can safely be sent again: after a reconnect, when the broker
is back, and when an answer is overdue. A frame that was refused permanently is never sent again. It writes
with what its owner gives it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from warren_client.core.clock import Clock, Timers
from warren_client.core.entry import Entry, Urgent
from warren_client.core.pace import Pace
from warren_client.core.suspects import Suspects
from warren_client.errors import InvalidError, WarrenError
from warren_client.messages import Limits
from warren_client.options import Options

_COUNTED = frozenset({"message", "HISTORY", "PRESENCE", "REQUEST"})  # what outbox_limit limits


@dataclass(frozen=True, slots=True)
class OutboxOwner:
    """``ping`` returns a PING; ``refused`` is told of an entry that will not be sent again, ``forgotten`` of
    one that nobody waits for and that has no answer.
    """

    ping: Callable[[], Urgent]
    refused: Callable[[Entry, WarrenError], None]
    forgotten: Callable[[Entry], None]


class Outbox:
    """What waits, over all connections."""

    def __init__(self, options: Options, clock: Clock, owner: OutboxOwner) -> None:
        """It is closed until ``open``."""
        self._options = options
        self._clock = clock
        self._owner = owner
        self._entries: dict[str, Entry] = {}  # in the order in which they are sent again
        self._sent: dict[str, Entry] = {}  # those without an answer, in the order of sending
        self._queue: deque[Entry] = deque()  # those to be sent, in order, and some that are settled
        self._yielding: deque[Entry] = deque()
        self._later: dict[str, float] = {}  # id ▶ when it may be sent
        self._urgent: deque[Urgent] = deque()
        self._counted = 0
        self._pace = Pace()
        self._limits = Limits()
        self._write: Callable[[str], None] | None = None
        self.is_congested = False  # the socket takes nothing at the moment: ephemeral messages are dropped
        self._is_degraded = False
        self._timers = Timers(clock)
        self._suspects = Suspects(clock, options.pong_timeout * 1_000, self._ask, self.pump)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether as many messages and requests wait as may."""
        return self._counted >= self._options.outbox_limit

    def get(self, id: str | None) -> Entry | None:
        """Return the entry of this id."""
        return self._entries.get(id) if id is not None else None

    def of(self, kind: str) -> list[Entry]:
        """Return the entries of a kind."""
        return [entry for entry in self._entries.values() if entry.kind == kind]

    def has_sent_to(self, room: str) -> bool:
        """Whether own messages to this room (or to the default room) are sent and not acknowledged."""
        return any(entry.kind == "message" and entry.room in (None, room) for entry in self._sent.values())

    def open(self, write: Callable[[str], None], limits: Limits, first: Iterable[Entry]) -> None:
        """The connection is open: send the ``first`` entries (JOINs) before those that wait."""
        rest = self._entries
        self._entries = {}
        for entry in first:
            self._keep(entry)
        self._entries |= rest
        self._write = write
        self._limits = limits
        self._is_degraded = False
        self._pace.reset(limits)
        self.again()

    def disconnect(self) -> None:
        """The connection is closed: messages wait for the next one, JOINs (and what else is ``once``) will be
        made again, and LEAVEs are done.
        """
        self._write = None
        self._urgent.clear()
        self._timers.clear()
        self._suspects.pause()
        self._later.clear()
        self._sent.clear()
        for entry in list(self._entries.values()):
            if entry.sent_at is not None:
                entry.resent = True
            entry.sent_at = None
            if entry.kind == "JOIN" or entry.once:
                self.settle(entry.id)
            elif entry.kind == "LEAVE":
                self.settle(entry.id)
                entry.outcome.resolve(None)
            elif entry.is_abandoned:
                self._forget(entry)

    def close(self, why: WarrenError) -> None:
        """There will be no further connection: reject all entries."""
        self.disconnect()
        for entry in list(self._entries.values()):
            self.settle(entry.id)
            entry.outcome.reject(why)

    def add(self, entry: Entry) -> Entry:
        """Send an entry when its turn comes."""
        self._keep(entry)
        self._enqueue(entry)
        self.pump()
        return entry

    def first(self, urgent: Urgent) -> None:
        """Send something once, before all entries, as soon as the rate allows; if there is a connection."""
        if self._write is not None:
            self._urgent.append(urgent)
            self.pump()

    def settle(self, id: str | None) -> Entry | None:
        """Remove and return an entry; the caller resolves or rejects it."""
        entry = self._entries.pop(id, None) if id is not None else None
        if entry is None:
            return None
        self._sent.pop(entry.id, None)
        self._later.pop(entry.id, None)
        self._suspects.forget(entry.id)
        if entry.kind in _COUNTED and not entry.once:
            self._counted -= 1
        entry.is_queued = False
        if len(self._queue) > 64 + 2 * len(self._entries):
            self._queue = deque(each for each in self._queue if each.is_queued)
        return entry

    def abandon(self, entry: Entry) -> None:
        """Nobody waits for this entry any more: it is not sent, or not again if it was."""
        if self._entries.get(entry.id) is not entry:
            return
        entry.is_abandoned = True
        if entry.sent_at is None:
            self._forget(entry)

    def postpone(self, entry: Entry, ms: float) -> None:
        """Send an entry again after ``ms`` and a random delay that grows with each refusal, so that many
        clients that were refused together do not come back together.
        """
        cap, first = self._options.backoff_cap * 1_000, self._options.backoff * 1_000
        more = self._clock.random() * min(cap, first * 2 ** min(entry.refusals, 30))
        entry.refusals += 1
        entry.sent_at = None
        self._sent.pop(entry.id, None)
        self._later[entry.id] = self._clock.now + ms + more
        self._wait_for_later()

    def answered(self, id: str | None) -> None:
        """The server has answered a frame, whatever the answer."""
        self._pace.answered(id, self._clock.now, self._suspects.is_mark(id))
        self._suspects.answered(id)

    def accuse(self, error: WarrenError) -> Entry | None:
        """The server refused a frame permanently and does not say which. Return its entry if that is clear;
        otherwise start to find out.
        """
        sent = list(self._sent.values())
        entry = self._suspects.accuse(sent, not self._pace.is_uncertain, error)
        for each in sent:
            if each in self._suspects and each is not entry:
                each.sent_at = None
                self._sent.pop(each.id, None)
        if entry is not None:
            self._pace.answered(entry.id, self._clock.now)
        return entry

    def ephemeral(self, text: str) -> bool:
        """Send a frame now or never; return whether it was sent."""
        is_busy = self.is_congested or len(self._urgent) > 0 or len(self._suspects) > 0
        if self._write is None or is_busy or self._pace.wait(self._clock.now) > 0:
            return False
        self._send(text, None)
        return True

    def degraded(self, is_degraded: bool) -> None:
        """The broker is away, or back."""
        self._is_degraded = is_degraded
        if not is_degraded:
            self.again()

    def again(self) -> None:
        """Send everything that has no answer again, in order; but not requests, each of which has its last
        word on this connection.
        """
        for entry in list(self._entries.values()):
            if entry.kind == "REQUEST" and entry.sent_at is not None:
                continue
            if entry.is_abandoned:
                self._forget(entry)
                continue
            entry.sent_at = None
            self._sent.pop(entry.id, None)
        self._queue.clear()
        self._yielding.clear()
        for entry in self._entries.values():
            if entry.sent_at is None and entry.id not in self._later:
                self._enqueue(entry)
        self._suspects.pause()
        self._pace.give_up(self._clock.now)
        self.pump()

    def pump(self) -> None:
        """Send what waits, in order, as fast as the rate allows."""
        while self._write is not None:
            if self._urgent:
                if not self._may_go(urgent=True):
                    return
                urgent = self._urgent.popleft()
                self._send(urgent.build(), urgent.id)
                if urgent.sent is not None:
                    urgent.sent()
                continue
            queue, entry = self._next()
            if entry is None or not self._may_go():
                return
            if queue is not None:
                queue.popleft()
            entry.is_queued = False
            self._go(entry)

    def _next(self) -> tuple[deque[Entry] | None, Entry | None]:
        """Return the entry to be sent next, and the queue whose head it is."""
        if len(self._suspects):
            return None, self.get(self._suspects.next)
        for queue in (self._queue, self._yielding):
            while queue:
                entry = queue[0]
                if entry.is_queued and self._entries.get(entry.id) is entry and entry.sent_at is None:
                    return queue, entry
                queue.popleft()
        return None, None

    def _go(self, entry: Entry) -> None:
        text = entry.build()
        if self._entries.get(entry.id) is not entry:
            return
        size = self._limits.message_bytes
        if entry.fault is not None and self._suspects.is_over(entry):
            self._owner.refused(entry, entry.fault)
        elif size is not None and len(text) * 4 > size and len(text.encode()) > size:
            message = f"the message is larger than {size} bytes"
            self._owner.refused(entry, InvalidError("message_too_large", message, ref=entry.id))
        else:
            entry.sent_at = self._clock.now
            entry.was_sent = True
            # the answer to a request may take long: it says nothing of the rate, and is not overdue
            is_awaited = entry.kind != "REQUEST" and not entry.is_unanswered
            if entry.is_unanswered:
                self.settle(entry.id)
            else:
                self._sent[entry.id] = entry
            self._send(text, entry.id if is_awaited else None)
            if is_awaited and not self._timers.has("ack"):
                self._timers.after("ack", self._options.ack_timeout * 1_000, self._overdue)
            self._suspects.sent(entry)

    def _keep(self, entry: Entry) -> None:
        self.settle(entry.id)  # the same id again: the later entry counts
        self._entries[entry.id] = entry
        if entry.kind in _COUNTED and not entry.once:
            self._counted += 1

    def _enqueue(self, entry: Entry) -> None:
        entry.is_queued = True
        (self._yielding if entry.yields else self._queue).append(entry)

    def _forget(self, entry: Entry) -> None:
        self.settle(entry.id)
        self._owner.forgotten(entry)

    def _may_go(self, urgent: bool = False) -> bool:
        """Whether the rate allows another frame now. If not, a timer or the next answer continues."""
        wait = self._pace.wait(self._clock.now, urgent)
        if 0 < wait < float("inf"):
            self._timers.after("pace", wait, self.pump)
        return wait == 0

    def _send(self, text: str, id: str | None) -> None:
        self._pace.take(id, self._clock.now)
        if self._write is not None:
            self._write(text)

    def _ask(self) -> str:
        """Send a PING after everything that was sent; return its id."""
        ping = self._owner.ping()
        self._urgent.append(ping)
        return ping.id or ""

    def _wait_for_later(self) -> None:
        if self._later:
            self._timers.after("later", min(self._later.values()) - self._clock.now, self._now)

    def _now(self) -> None:
        for id in [id for id, at in self._later.items() if at <= self._clock.now]:
            del self._later[id]
            entry = self._entries.get(id)
            if entry is not None and not entry.is_queued:
                self._enqueue(entry)
        self._wait_for_later()
        self.pump()

    def _overdue(self) -> None:
        """An answer can be lost between the servers. Sending the same id again gets the same answer."""
        sent = [entry.sent_at or 0.0 for entry in self._sent.values() if entry.kind != "REQUEST"]
        if not sent:
            return
        due = min(sent) + self._options.ack_timeout * 1_000 - self._clock.now
        if due > 0 or self._is_degraded:
            self._timers.after("ack", max(due, 1_000.0), self._overdue)
        else:
            self.again()
