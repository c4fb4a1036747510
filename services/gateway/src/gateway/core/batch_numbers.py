"""BatchNumbers: in which batch of which life the entries for one shard's log go, what is sent again, and
what is done with.

One batch is under way at a time. Under one number goes one content, again and again until it is confirmed or
known to have counted; where something of it was given up meanwhile and it failed, the rest goes under a new
number. What has to count is kept until the routers have said that it did (``count``), and goes again, in its
order, where the life in which it was sent is over (``end``). Whose answer is awaited is kept until that has
come, and goes again where it may have been lost (``end``, ``ask_again``): what has counted is answered again.
What is withdrawn (``withdraw``) goes no second time.
Batch 1 of a life is its Hello alone, so nothing of it can be given up. It encodes nothing but whole batches,
sends nothing and knows no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from warren.envelope import Batch, Envelope, Hello, encode


class Entry:
    """One envelope on its way into the log."""

    __slots__ = (
        "awaited", "charged", "confirmed", "counted", "envelope", "kept", "number", "size", "withdrawn",
    )  # fmt: skip

    def __init__(
        self, envelope: Envelope, size: int, *, kept: bool, charged: bool, awaited: bool = False
    ) -> None:
        """``kept``: it has to count, so it outlives the gateway's life on the shard; ``charged``: it counts
        against the buffer's limits; ``awaited``: whoever sent it waits for an answer.
        """
        self.envelope: Envelope | None = envelope  # None: it needs not be sent (any more)
        self.size = size
        self.kept = kept
        self.charged = charged
        self.awaited = awaited
        self.number = 0  # of the batch that it is in; 0: it waits
        self.confirmed = False  # committed to the log
        self.counted = False
        self.withdrawn = False  # it goes into the log no second time

    @property
    def may_go(self) -> bool:
        """Whether it may be sent (again)."""
        return self.envelope is not None and not self.withdrawn


E = TypeVar("E", bound=Entry)


class Outgoing(Generic[E]):
    """A batch under way: the same bytes as often as it is sent."""

    __slots__ = ("_body", "entries", "life", "number")

    def __init__(self, life: int, number: int, entries: Sequence[E]) -> None:
        """Begin; the first batch of a life has no entries."""
        self.life = life
        self.number = number
        self.entries = entries
        self._body: bytes | None = None

    def body(self, gateway: str, at_us: int) -> bytes:
        """Return the record of the log; ``at_us`` is the time of the first call."""
        if self._body is None:
            head: list[Envelope] = [Batch(gateway, self.life, self.number, at_us)]
            if self.number == 1:
                head.append(Hello())
            self._body = encode(
                [*head, *(entry.envelope for entry in self.entries if entry.envelope is not None)]
            )
        return self._body


class BatchNumbers(Generic[E]):
    """One shard's."""

    def __init__(self, batch_count: int, batch_bytes: int) -> None:
        """Begin the first life; so much goes into one batch."""
        self._batch_count = batch_count
        self._batch_bytes = batch_bytes
        self._queue: deque[E] = deque()
        self._given_up = 0  # of those in the queue
        self._under_way: Outgoing[E] | None = None
        self._uncounted: deque[E] = deque()
        self._unanswered: dict[E, None] = {}  # have counted, and their answers have not come
        self.life = 1
        self.last = 0  # the number that was used last in this life
        self.counted = 0  # up to here the batches of this life are known to have counted
        self.begun = False  # this life's Hello is in the log
        self.charged = 0  # entries that count against the limits: not sent, not confirmed or not counted
        self.charged_bytes = 0
        self.controls = 0  # other entries that are not sent, not confirmed or not counted

    @property
    def waiting(self) -> int:
        """How many entries are not known to be in the log."""
        under_way = len(self._under_way.entries) if self._under_way is not None else 0
        return len(self._queue) - self._given_up + under_way

    def offer(self, entry: E) -> None:
        """Put an entry behind all others."""
        self._queue.append(entry)
        self._charge(entry, 1)

    def next(self) -> Outgoing[E] | None:
        """Return what has to be sent now: the batch that is under way, else the next one; None where nothing
        waits.
        """
        if self._under_way is None:
            if not self.last:
                self._begin(())
            elif taken := self._take():
                self._begin(taken)
        return self._under_way

    def is_under_way(self, batch: Outgoing[E]) -> bool:
        """Say whether this batch still has to be sent until it is confirmed."""
        return batch is self._under_way

    def confirmed(self, batch: Outgoing[E]) -> list[E]:
        """A batch is in the log; return its entries that nobody has given up. Nothing where that is
        known, or its life is over.
        """
        if batch is not self._under_way:
            return []
        self._under_way = None
        return self._went(batch)

    def failed(self, batch: Outgoing[E]) -> None:
        """Nobody knows whether a batch is in the log: it goes again; where something of it was
        given up or withdrawn, the rest under a new number.
        """
        if batch is not self._under_way or all(entry.may_go for entry in batch.entries):
            return
        self._under_way = None
        for entry in reversed(batch.entries):
            if not entry.may_go:
                self._charge(entry, -1)
            else:
                entry.number = 0
                self._queue.appendleft(entry)

    def give_up(self, entry: E) -> None:
        """Forget an entry that needs not count any more. Where it may be in the log already it stays charged
        until that has counted.
        """
        if entry.envelope is None:
            return
        entry.envelope, entry.awaited = None, False
        if entry.counted:
            self._release(entry)
            return
        if entry.number:
            return
        self._charge(entry, -1)
        self._given_up += 1
        if self._given_up * 2 > len(self._queue):
            self._queue = deque(waiting for waiting in self._queue if waiting.envelope is not None)
            self._given_up = 0

    def withdraw(self, entry: E) -> bool:
        """See to it that an entry goes into the log no second time; True where it has not been sent at all,
        and is forgotten.
        """
        if entry.counted or entry.envelope is None:
            return False
        if entry.number:
            entry.withdrawn = True
            return False
        self.give_up(entry)
        return True

    def answered(self, entry: E) -> None:
        """An entry's answer has come, or nobody waits for it any more."""
        entry.awaited = False
        if entry.counted:
            entry.envelope = None
            self._release(entry)

    def ask_again(self) -> None:
        """Send again what has counted and waits for an answer, which may be lost."""
        again = [entry for entry in self._unanswered if entry.may_go]
        for entry in again:
            del self._unanswered[entry]
            entry.number, entry.confirmed, entry.counted = 0, False, False
            self._queue.append(entry)
            if not entry.charged:
                self.controls += 1

    def count(self, life: int, number: int) -> list[E]:
        """Our batches of this life up to ``number`` have counted; return the entries of which nobody
        knew that they were in the log.
        """
        if life != self.life or number <= self.counted:
            return []
        self.counted = number
        known: list[E] = []
        under_way = self._under_way
        if under_way is not None and under_way.number <= number:
            self._under_way = None
            known = self._went(under_way)
        uncounted = self._uncounted
        while uncounted and uncounted[0].number <= number:
            entry = uncounted.popleft()
            entry.counted = True
            if entry.awaited:
                self._unanswered[entry] = None
            else:
                entry.envelope = None
            if not (entry.awaited and entry.charged):
                self._charge(entry, -1)
        return known

    def end(self, life: int, counted: int) -> list[E] | None:
        """End a life, in which the batches up to ``counted`` have counted, and begin the next
        one; None where it is not the present one.

        What has to count or to be answered goes again, in its order; the rest is dropped: who wanted that
        asks anew. Returned is what ``count`` returns.
        """
        if life != self.life:
            return None
        known = self.count(life, counted)
        under_way = self._under_way.entries if self._under_way is not None else ()
        every = [*self._unanswered, *self._uncounted, *under_way, *self._queue]
        self._under_way = None
        self._unanswered.clear()
        self._uncounted.clear()
        self._queue.clear()
        self._given_up = 0
        self.life, self.last, self.counted, self.begun = self.life + 1, 0, 0, False
        self.charged = self.charged_bytes = self.controls = 0
        for entry in every:
            entry.number, entry.confirmed, entry.counted = 0, False, False
            if entry.kept and entry.may_go:
                self.offer(entry)
            elif entry.withdrawn:
                entry.envelope = None
        return known

    def _begin(self, entries: Sequence[E]) -> None:
        self.last += 1
        for entry in entries:
            entry.number = self.last
        self._under_way = Outgoing(self.life, self.last, entries)

    def _take(self) -> list[E]:
        taken: list[E] = []
        size = 0
        queue = self._queue
        while queue and len(taken) < self._batch_count:
            entry = queue[0]
            if entry.envelope is None:
                self._given_up -= 1
                queue.popleft()
                continue
            if taken and size + entry.size > self._batch_bytes:
                break
            queue.popleft()
            taken.append(entry)
            size += entry.size
        return taken

    def _went(self, batch: Outgoing[E]) -> list[E]:
        self.begun = True
        went: list[E] = []
        for entry in batch.entries:
            entry.confirmed = True
            self._uncounted.append(entry)
            if entry.envelope is not None:
                went.append(entry)
        return went

    def _release(self, entry: E) -> None:
        """Let go of an entry that has counted and of which no answer is awaited any more."""
        if entry in self._unanswered:
            del self._unanswered[entry]
            if entry.charged:
                self._charge(entry, -1)

    def _charge(self, entry: E, sign: int) -> None:
        if entry.charged:
            self.charged += sign
            self.charged_bytes += sign * entry.size
        else:
            self.controls += sign
