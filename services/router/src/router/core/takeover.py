"""Takeover: how a router comes to own a shard, as a table.

    idle ──delivery──▶ asking ──ready──▶ live
      ▲                │ ▲  ▲              │ │
      │           outrun─┘  └────outrun────┘ │
      └──────lost──────┴───────────lost──────┘

The broker chooses the owner by giving it a delivery. The new owner asks every gateway for its members and holds back what it was given
until all that live have answered, or a time has passed; it must also have listened to heartbeats for long enough to know who lives. Pure;
``shell/worker.py`` tells it what happens and does the step that it returns. (Claim, fence and marker of the log get their place here.)
"""

from __future__ import annotations

import enum
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


class State(enum.StrEnum):
    """Where a shard stands with this router."""

    IDLE = "idle"  # not ours, or nothing has come yet
    ASKING = "asking"  # ours; gateways were asked, deliveries wait
    LIVE = "live"  # ours; deliveries are applied


class Event(enum.StrEnum):
    """What can happen."""

    DELIVERY = "delivery"  # the broker gave us something of this shard
    READY = "ready"  # those who live have answered, or have had their time
    OUTRUN = "outrun"  # a gateway knows a higher term than ours
    LOST = "lost"  # the channel is gone, and the shard with it


class Step(enum.StrEnum):
    """What the worker must do next."""

    NOTHING = "nothing"
    ASK = "ask"  # begin (again) with an empty shard under a new term, and ask every gateway
    OPEN = "open"  # apply what waits, in its order
    FORGET = "forget"  # throw all state away


TABLE: dict[tuple[State, Event], tuple[State, Step]] = {
    (State.IDLE, Event.DELIVERY): (State.ASKING, Step.ASK),
    (State.ASKING, Event.OUTRUN): (State.ASKING, Step.ASK),
    (State.ASKING, Event.READY): (State.LIVE, Step.OPEN),
    (State.LIVE, Event.OUTRUN): (State.ASKING, Step.ASK),
    (State.ASKING, Event.LOST): (State.IDLE, Step.FORGET),
    (State.LIVE, Event.LOST): (State.IDLE, Step.FORGET),
}


@dataclass(frozen=True, slots=True)
class TakeoverLimits:
    """How long a new owner waits, in seconds."""

    listen_s: float = 1.5  # for heartbeats, before it believes that it knows who lives
    ask_timeout_s: float = 3.0  # for the answers of those who live


class Takeover:
    """One shard's state with this router. Times are monotonic seconds."""

    def __init__(self, limits: TakeoverLimits) -> None:
        """Begin idle."""
        self._limits = limits
        self._asked_at = 0.0
        self.state = State.IDLE
        self.term = 0

    def happened(self, event: Event, now: float, *, term: int = 0) -> Step:
        """Take an event, return the step. An event that has no place in this state changes nothing.

        ``term`` is what a new term must at least be (the wall clock in ms, or one more than was seen).
        """
        self.state, step = TABLE.get((self.state, event), (self.state, Step.NOTHING))
        if step is Step.ASK:
            self._asked_at = now
            self.term = max(term, self.term + 1)
        return step

    def ready(self, now: float, *, listening_s: float, living: AbstractSet[str], answered: AbstractSet[str]) -> bool:
        """Say whether the shard may go live: ``listening_s`` is how long heartbeats have been listened to.

        Where none is known to live, that is not believed before the time for answers is up: someone sent what has come.
        """
        if self.state is not State.ASKING or listening_s < self._limits.listen_s:
            return False
        return (bool(living) and living <= answered) or now - self._asked_at >= self._limits.ask_timeout_s
