"""Takeover: how a router comes to own a shard, and how it lets it go, as a table. ``docs/ownership.md`` is drawn from it.

The order of the steps is what makes them safe (``tests/model/takeover.py`` finds a fault in every other): claim, fence and ask, mark, read,
live. A shard whose state may differ from its log, or that another router wants, is left: its lane is closed, so that the broker gives what
is not acknowledged to the next owner, in its order. Pure; ``shell/possession.py`` tells it what happens and has the steps done.
"""

from __future__ import annotations

import enum
from collections.abc import Set as AbstractSet
from dataclasses import dataclass


class State(enum.StrEnum):
    """Where a shard stands with this router."""

    IDLE = "idle"  # not ours
    CLAIMING = "claiming"  # we want it; our claim is in the shard's queue
    ASKING = "asking"  # we have it; gateways drop what older owners send, and tell us their members and positions
    MARKING = "marking"  # our marker is on its way to the log
    READING = "reading"  # the log is read up to our marker
    LIVE = "live"  # deliveries are applied
    YIELDING = "yielding"  # another router wants it; we finish what we have begun


class Event(enum.StrEnum):
    """What can happen."""

    CALLED = "called"  # placement says that we are the owner
    GIVEN = "given"  # the broker gave us something of this shard
    OVERDUE = "overdue"  # our claim has not come back for a while
    RELIEVED = "relieved"  # nor has it, and placement wants another owner by now
    OWNED = "owned"  # our own claim came back, so the queue is ours
    ANSWERED = "answered"  # all gateways that live have answered
    MARKED = "marked"  # our marker stands in the log
    READ = "read"  # the log is read
    RIVAL = "rival"  # the claim of another router that comes before ours
    OUTRUN = "outrun"  # a gateway or the log knows a higher term than ours
    FAILED = "failed"  # an entry's fate in the log is not known
    FINISHED = "finished"  # what was begun is done
    LOST = "lost"  # the lane is gone


class Step(enum.StrEnum):
    """What must be done next."""

    NOTHING = "nothing"
    CLAIM = "claim"  # put a claim with a new term into the shard's queue
    ASK = "ask"  # fence every gateway with our term, and ask it
    MARK = "mark"  # append our marker to the log
    READ = "read"  # read the log up to it
    OPEN = "open"  # give each gateway what it lacks, then apply what waits, in its order
    FINISH = "finish"  # apply no more, and finish what has begun
    LEAVE = "leave"  # throw all state away and close the lane
    FORGET = "forget"  # throw all state away


TABLE: dict[tuple[State, Event], tuple[State, Step]] = {
    (State.IDLE, Event.CALLED): (State.CLAIMING, Step.CLAIM),
    (State.IDLE, Event.GIVEN): (State.CLAIMING, Step.CLAIM),
    (State.IDLE, Event.RIVAL): (State.IDLE, Step.LEAVE),
    (State.CLAIMING, Event.OWNED): (State.ASKING, Step.ASK),
    (State.CLAIMING, Event.OVERDUE): (State.CLAIMING, Step.CLAIM),
    (State.CLAIMING, Event.RELIEVED): (State.IDLE, Step.LEAVE),
    (State.CLAIMING, Event.RIVAL): (State.IDLE, Step.LEAVE),
    (State.CLAIMING, Event.LOST): (State.IDLE, Step.FORGET),
    (State.ASKING, Event.ANSWERED): (State.MARKING, Step.MARK),
    (State.ASKING, Event.RIVAL): (State.IDLE, Step.LEAVE),
    (State.ASKING, Event.OUTRUN): (State.CLAIMING, Step.CLAIM),
    (State.ASKING, Event.LOST): (State.IDLE, Step.FORGET),
    (State.MARKING, Event.MARKED): (State.READING, Step.READ),
    (State.MARKING, Event.RIVAL): (State.IDLE, Step.LEAVE),
    (State.MARKING, Event.OUTRUN): (State.CLAIMING, Step.CLAIM),
    (State.MARKING, Event.FAILED): (State.IDLE, Step.LEAVE),
    (State.MARKING, Event.LOST): (State.IDLE, Step.FORGET),
    (State.READING, Event.READ): (State.LIVE, Step.OPEN),
    (State.READING, Event.RIVAL): (State.IDLE, Step.LEAVE),
    (State.READING, Event.OUTRUN): (State.CLAIMING, Step.CLAIM),
    (State.READING, Event.FAILED): (State.IDLE, Step.LEAVE),
    (State.READING, Event.LOST): (State.IDLE, Step.FORGET),
    (State.LIVE, Event.RIVAL): (State.YIELDING, Step.FINISH),
    (State.LIVE, Event.OUTRUN): (State.IDLE, Step.LEAVE),
    (State.LIVE, Event.FAILED): (State.IDLE, Step.LEAVE),
    (State.LIVE, Event.LOST): (State.IDLE, Step.FORGET),
    (State.YIELDING, Event.FINISHED): (State.IDLE, Step.LEAVE),
    (State.YIELDING, Event.OUTRUN): (State.IDLE, Step.LEAVE),
    (State.YIELDING, Event.FAILED): (State.IDLE, Step.LEAVE),
    (State.YIELDING, Event.LOST): (State.IDLE, Step.FORGET),
}


@dataclass(frozen=True, slots=True)
class TakeoverLimits:
    """How long is waited, in seconds, and how much is begun at once."""

    listen_s: float = 1.5  # for heartbeats, before it is known who lives
    ask_again_s: float = (
        1.0  # for the answer of a gateway that lives, before it is asked again; its lease alone decides
    )
    claim_again_s: float = 1.0  # for a claim to come back, before it is made again with a higher term
    at_once: int = 2  # shards that one router claims unasked at a time
    yield_s: float = 1.5  # after another router was let have the shard, before we claim it unasked


class Takeover:
    """One shard's state with this router."""

    def __init__(self) -> None:
        """Begin idle."""
        self.state = State.IDLE
        self.term = 0
        self.claimed_from = 0  # the first term that was claimed since we were last idle

    def happened(self, event: Event, *, term: int = 0) -> Step:
        """Take an event, return the step. An event that has no place in this state changes nothing.

        ``term`` is what a new term must at least be (the wall clock in ms, or one more than was seen).
        """
        before = self.state
        self.state, step = TABLE.get((before, event), (before, Step.NOTHING))
        if step is Step.CLAIM:
            self.term = max(term, self.term + 1)
            if before is not State.CLAIMING:
                self.claimed_from = self.term
        return step

    def is_ours(self, term: int) -> bool:
        """Say whether a claim of this router with this term proves, when it is read, that the queue is ours now."""
        return self.state is State.CLAIMING and self.claimed_from <= term <= self.term


def answered(
    living: AbstractSet[str], answers: AbstractSet[str], *, listening_s: float, limits: TakeoverLimits
) -> bool:
    """Say whether every gateway that lives has answered: ``listening_s`` is how long heartbeats have been listened to."""
    return listening_s >= limits.listen_s and living <= answers
