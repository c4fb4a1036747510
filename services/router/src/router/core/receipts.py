"""Receipts: the messages of one shard of which a sender wants to know that all gateways have written them, or
that users have seen them.

Only the speaker has any. A receipt is complete once each gateway that was to be told has said that it has
been told of all up to the message's place, or its life has ended (then it counts as lost: a dead gateway is
no time-out); and, where that is asked for, once as many users have seen it as were there to see it. Who
counts as one of them may have come later: what is counted is who has seen it. Bounded: beyond ``count`` open
ones (clients may have half of them), and after its time, what is known is said, and that it is not all. Pure:
the time is an argument.

A receipt, by example: message m1 stands at offset 40; g1 and g2 have members of its room. g1 says that it
stands at 41, g2's life ends: written 1, lost 1, complete.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Final

from router.core.effects import Accepted, SeenChanged
from warren.envelope import Progress, Receipt
from warren.log_entries import RECEIPT_SEEN, RECEIPT_WRITTEN

COUNT: Final = 10_000
# How long one waits to be written, and to be seen.
PATIENCE_S: Final = 30.0
SEEN_PATIENCE_S: Final = 60.0
# A gateway that has not got far enough is asked again after so long.
AGAIN_S: Final = 0.1

# The router to be told (empty: the gateway of the receipt's ``conn``), and what.
Told = tuple[str, Receipt]


class _Open:
    """One that is not complete."""

    __slots__ = ("accepted", "due", "lost", "offset", "seen", "waits", "written")

    def __init__(self, accepted: Accepted, offset: int, waits: dict[str, int], due: float) -> None:
        self.accepted = accepted
        self.offset = offset
        self.waits = waits  # gateway ▶ its life
        self.due = due
        self.written = 0
        self.lost = 0
        self.seen = accepted.seen

    @property
    def asks_seen(self) -> bool:
        """Whether it waits for users, too."""
        return self.accepted.level >= RECEIPT_SEEN

    @property
    def complete(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self.waits and (not self.asks_seen or self.seen >= self.accepted.readers)


class Receipts:
    """One shard's."""

    def __init__(
        self, count: int = COUNT, patience_s: float = PATIENCE_S, seen_patience_s: float = SEEN_PATIENCE_S
    ) -> None:
        """At most ``count`` are open at a time, none for longer than ``patience_s``, or ``seen_patience_s``
        where users are waited for.
        """
        self._count = count
        self._patience = {False: patience_s, True: seen_patience_s}
        self._open: dict[int, _Open] = {}
        self._orders: dict[bool, dict[int, None]] = {False: {}, True: {}}  # by what is waited for
        self._numbers = 0
        self._waiting: dict[str, dict[int, None]] = {}  # gateway ▶ those that wait for it, the oldest first
        # (room, epoch) ▶ (seq, number) of those that wait for users, in order
        self._unseen: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._asked_at = float("-inf")

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def accepted(
        self, effect: Accepted, offset: int, gateways: Mapping[str, tuple[int, int]], now: float
    ) -> list[Told]:
        """Take a message that was accepted at ``offset``; ``gateways`` are the fold's. Return what is to be
        said at once: nothing where there is more to wait for.
        """
        waits: dict[str, int] = {}
        if effect.level >= RECEIPT_WRITTEN:
            waits = {gateway: gateways[gateway][0] for gateway in effect.gateways if gateway in gateways}
        one = _Open(effect, offset, waits, 0.0)
        told: list[Told] = []
        if one.asks_seen and effect.conn and not waits:
            told.append(self._said(one, RECEIPT_WRITTEN, complete=True))
        if one.complete or len(self._open) >= (self._count // 2 if effect.conn else self._count):
            told.append(self._said(one, effect.level, complete=one.complete))
            return told
        one.due = now + self._patience[one.asks_seen]
        self._numbers += 1
        number = self._numbers
        self._open[number] = one
        self._orders[one.asks_seen][number] = None
        for gateway in waits:
            self._waiting.setdefault(gateway, {})[number] = None
        if one.asks_seen:
            insort(self._unseen.setdefault((effect.room, effect.epoch), []), (effect.seq, number))
        return told

    def progress(self, said: Progress, log_life: str) -> list[Told]:
        """A gateway says how far it has been told; return what is known by that. A place in another life
        of the log says nothing.
        """
        mine = said.mine
        if mine is None or mine.life != log_life:
            return []
        told: list[Told] = []
        for number in list(self._waiting.get(said.gateway, ())):
            one = self._open[number]
            if (one.offset, one.accepted.index) > (mine.offset, mine.index):
                break  # what was accepted later lies behind
            if one.waits[said.gateway] != said.life:
                continue
            one.written += 1
            self._settled(number, said.gateway, told)
        return told

    def ended(self, gateway: str, life: int) -> list[Told]:
        """A gateway's life is over; return what is known by that."""
        told: list[Told] = []
        for number in list(self._waiting.get(gateway, ())):
            one = self._open[number]
            if one.waits[gateway] == life:
                one.lost += 1
                self._settled(number, gateway, told)
        return told

    def saw(self, change: SeenChanged) -> list[Told]:
        """A user has seen messages of a room; return what is complete by that."""
        waiting = self._unseen.get((change.room, change.epoch))
        if waiting is None:
            return []
        # Those from behind what was seen before up to what is seen now; a number is always above 0.
        begin, end = bisect_left(waiting, (change.before + 1, 0)), bisect_right(waiting, (change.seq + 1, 0))
        told: list[Told] = []
        for _, number in waiting[begin:end]:
            one = self._open[number]
            if one.accepted.user != change.user:
                one.seen += 1
                if one.complete:
                    told.append(self._done(number, complete=True))
        return told

    def ask(self, now: float) -> list[str]:
        """Return the gateways that are to be asked how far they have been told."""
        if not self._waiting or now < self._asked_at + AGAIN_S:
            return []
        self._asked_at = now
        return list(self._waiting)

    def expire(self, now: float) -> list[Told]:
        """Give up what has waited for too long; return what is known of it."""
        told: list[Told] = []
        for order in self._orders.values():
            while order:
                number = next(iter(order))
                one = self._open[number]
                if one.due > now:
                    break
                for gateway in list(one.waits):
                    self._forget(number, gateway)
                told.append(self._done(number, complete=False))
        return told

    def clear(self) -> None:
        """Forget all: another router speaks, or the log is another one."""
        self._open.clear()
        self._waiting.clear()
        self._unseen.clear()
        for order in self._orders.values():
            order.clear()

    def _settled(self, number: int, gateway: str, told: list[Told]) -> None:
        self._forget(number, gateway)
        one = self._open[number]
        if one.waits:
            return
        if one.asks_seen and one.accepted.conn:  # a client is told of this first
            told.append(self._said(one, RECEIPT_WRITTEN, complete=True))
        if one.complete:
            told.append(self._done(number, complete=True))

    def _forget(self, number: int, gateway: str) -> None:
        del self._open[number].waits[gateway]
        waiting = self._waiting[gateway]
        del waiting[number]
        if not waiting:
            del self._waiting[gateway]

    def _done(self, number: int, *, complete: bool) -> Told:
        one = self._open.pop(number)
        del self._orders[one.asks_seen][number]
        if one.asks_seen:
            place = one.accepted.room, one.accepted.epoch
            waiting = self._unseen[place]
            del waiting[bisect_left(waiting, (one.accepted.seq, number))]
            if not waiting:
                del self._unseen[place]
        return self._said(one, one.accepted.level, complete=complete)

    @staticmethod
    def _said(one: _Open, level: int, *, complete: bool) -> Told:
        effect = one.accepted
        receipt = Receipt(
            effect.id,
            effect.room,
            effect.epoch,
            effect.seq,
            effect.duplicate,
            effect.users,
            effect.connections,
            len(effect.gateways),
            one.written,
            one.lost,
            complete,
            effect.conn,
            level,
            effect.readers if level >= RECEIPT_SEEN else -1,
            one.seen if level >= RECEIPT_SEEN else 0,
        )
        return effect.asker, receipt
