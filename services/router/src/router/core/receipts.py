"""Receipts: the messages of one shard of which a backend wants to know that all gateways have written them.

Only the speaker has any. A receipt is complete once each gateway that was to be told has said that it has
been told of all up to the message's place, or its life has ended (then it counts as lost: a dead gateway is
no time-out). Bounded: beyond ``count`` open ones, and after ``patience_s``, what is known is said, and that
it is not all. Pure: the time is an argument.

A receipt, by example: message m1 stands at offset 40; g1 and g2 have members of its room. g1 says that it
stands at 41, g2's life ends: written 1, lost 1, complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.core.effects import Accepted
from warren.envelope import Progress, Receipt

COUNT: Final = 10_000
PATIENCE_S: Final = 30.0
# A gateway that has not got far enough is asked again after so long.
AGAIN_S: Final = 0.1

Told = tuple[str, Receipt]  # the router to be told, and what


class _Open:
    """One that is not complete."""

    __slots__ = ("accepted", "due", "lost", "offset", "waits", "written")

    def __init__(self, accepted: Accepted, offset: int, waits: dict[str, int], due: float) -> None:
        self.accepted = accepted
        self.offset = offset
        self.waits = waits  # gateway ▶ its life
        self.due = due
        self.written = 0
        self.lost = 0


class Receipts:
    """One shard's."""

    def __init__(self, count: int = COUNT, patience_s: float = PATIENCE_S) -> None:
        """At most ``count`` are open at a time, none for longer than ``patience_s``."""
        self._count = count
        self._patience_s = patience_s
        self._open: dict[int, _Open] = {}
        self._numbers = 0
        self._waiting: dict[str, dict[int, None]] = {}  # gateway ▶ those that wait for it, the oldest first
        self._asked_at = float("-inf")

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def accepted(
        self, effect: Accepted, offset: int, gateways: Mapping[str, tuple[int, int]], now: float
    ) -> Told | None:
        """Take a message that was accepted at ``offset``; ``gateways`` are the fold's. Return what is to be
        said at once: None where there is more to wait for.
        """
        if not effect.written or not effect.gateways:
            return effect.asker, _receipt(effect, 0, 0, complete=True)
        if len(self._open) >= self._count:
            return effect.asker, _receipt(effect, 0, 0, complete=False)
        waits = {gateway: gateways[gateway][0] for gateway in effect.gateways if gateway in gateways}
        self._numbers += 1
        self._open[self._numbers] = _Open(effect, offset, waits, now + self._patience_s)
        for gateway in waits:
            self._waiting.setdefault(gateway, {})[self._numbers] = None
        return None

    def progress(self, said: Progress, log_life: str) -> list[Told]:
        """A gateway says how far it has been told; return what is complete by that. A place in another life
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
        """A gateway's life is over; return what is complete by that."""
        told: list[Told] = []
        for number in list(self._waiting.get(gateway, ())):
            one = self._open[number]
            if one.waits[gateway] == life:
                one.lost += 1
                self._settled(number, gateway, told)
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
        while self._open:
            number, one = next(iter(self._open.items()))
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

    def _settled(self, number: int, gateway: str, told: list[Told]) -> None:
        self._forget(number, gateway)
        if not self._open[number].waits:
            told.append(self._done(number, complete=True))

    def _forget(self, number: int, gateway: str) -> None:
        del self._open[number].waits[gateway]
        waiting = self._waiting[gateway]
        del waiting[number]
        if not waiting:
            del self._waiting[gateway]

    def _done(self, number: int, *, complete: bool) -> Told:
        one = self._open.pop(number)
        return one.accepted.asker, _receipt(one.accepted, one.written, one.lost, complete=complete)


def _receipt(effect: Accepted, written: int, lost: int, *, complete: bool) -> Receipt:
    return Receipt(
        effect.id,
        effect.room,
        effect.epoch,
        effect.seq,
        effect.duplicate,
        effect.users,
        effect.connections,
        len(effect.gateways),
        written,
        lost,
        complete,
    )
