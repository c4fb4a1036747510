"""Keeps the client below the server's rate. Each frame occupies a slot until one period after its answer, so
that no network delay can merge two bursts into one. One slot is reserved for frames that must not wait behind
messages (heartbeat, token). It sends nothing and has no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from warren_client.messages import Limits


@dataclass(slots=True)
class _Slot:
    at: float
    free_at: float
    is_silent: bool


class Pace:
    """Slots of one connection; times are in milliseconds."""

    def __init__(self) -> None:
        """There is no limit until ``reset`` says one."""
        self._slots: dict[str, _Slot] = {}  # in the order of sending
        self._unnamed = 0
        self._rate = 0
        self._per_ms = 0.0

    def reset(self, limits: Limits) -> None:
        """Begin a new connection, which allows ``rate`` messages in ``rate_per_ms``."""
        self._rate, self._per_ms = limits.rate, float(limits.rate_per_ms)
        self._slots.clear()

    @property
    def is_uncertain(self) -> bool:
        """Whether a frame without an answer was sent, and no later frame has been answered yet."""
        return any(slot.is_silent for slot in self._slots.values())

    def wait(self, now: float, urgent: bool = False) -> float:
        """Return how many ms to wait before a frame may be sent: 0 is now, infinity after the next answer.
        ``urgent`` may use the last slot.
        """
        if not self._rate:
            return 0.0
        for name in [name for name, slot in self._slots.items() if slot.free_at <= now]:
            del self._slots[name]
        usable = self._rate if urgent else max(1, self._rate - 1)
        excess = len(self._slots) - usable
        if excess < 0:
            return 0.0
        # a frame without an answer for long has arrived nevertheless: a heartbeat must find out whether the
        # connection is dead
        moments = sorted(
            min(slot.free_at, slot.at + 2 * self._per_ms) if urgent else slot.free_at
            for slot in self._slots.values()
        )
        return max(0.0, moments[excess] - now)

    def take(self, id: str | None, now: float) -> None:
        """A frame is sent; without an ``id`` it gets no answer."""
        if id is not None:
            self._keep(id, now)
        # without an answer: a second period for jitter, unless a later answer shows that it has arrived
        free_at = now + 2 * self._per_ms if id is None else math.inf
        self._slots[id if id is not None else self._name()] = _Slot(now, free_at, id is None)

    def answered(self, id: str | None, now: float, all: bool = False) -> None:
        """A frame was answered. ``all``: earlier ones count as answered too, because the answers to them have
        no id.
        """
        found = self._slots.get(id) if id is not None else None
        if found is None:
            return
        earlier = []
        for name, slot in self._slots.items():
            # the server handles frames in order, so earlier ones have arrived
            if slot is found:
                break
            if slot.is_silent or all:
                slot.free_at = min(slot.free_at, now + self._per_ms)
                slot.is_silent = False
                earlier.append(name)
        if found.free_at == math.inf:
            found.free_at = now + self._per_ms
        if not self._rate:  # then nobody asks for slots, and these have said what they can
            for done in (*earlier, id or ""):
                self._slots.pop(done, None)

    def give_up(self, now: float) -> None:
        """Stop waiting for answers: frames without one may have arrived just now."""
        for id in [id for id, slot in self._slots.items() if slot.free_at == math.inf]:
            self._keep(id, now)

    def _keep(self, id: str, now: float) -> None:
        """An earlier frame with this id continues to count, although the id may be sent again."""
        slot = self._slots.pop(id, None)
        if slot is not None and self._rate:
            slot.free_at = min(slot.free_at, now + self._per_ms)
            self._slots[self._name()] = slot

    def _name(self) -> str:
        self._unnamed += 1
        return f"~{self._unnamed}"  # no id starts with ~
