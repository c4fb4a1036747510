"""The schedule: what happens to whom and when, from a seed alone. Pure: the same seed and measures give the
same schedule everywhere.

It keeps the bounds of the promise: at any moment one gateway and one router of several are left alone, and at
most one node of the broker is in trouble, with time to come back before the next. ``deployment.py`` carries
it out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random


class Verb(enum.StrEnum):
    """What is done."""

    KILL = "kill"  # SIGKILL; started again after ``lasts_s``
    STOP = "stop"  # SIGTERM, as a rollout does; started again after ``lasts_s``
    PAUSE = "pause"  # SIGSTOP, and SIGCONT after ``lasts_s``
    CUT = "cut"  # its connections are reset, and refused for ``lasts_s``
    STALL = "stall"  # its connections stay open and carry nothing for ``lasts_s``
    RESET = "reset"  # its connections are reset once


class Target(enum.StrEnum):
    """Whom it is done to. CUT, STALL and RESET of a gateway or a router are about its links to the broker."""

    GATEWAY = "gateway"
    ROUTER = "router"
    BROKER = "broker"
    DOOR = "door"  # the way of the clients to one gateway
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Action:
    """One entry. Times are seconds from the beginning; ``victim`` counts from 0."""

    at_s: float
    lasts_s: float
    verb: Verb
    target: Target
    victim: int

    @property
    def ends_s(self) -> float:
        """When it is over."""
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        """Say it in a line."""
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.at_s:6.1f} s  {self.verb} {self.target} {self.victim}{lasts}"


@dataclass(frozen=True, slots=True)
class _Move:
    """A kind of action: how often it is in the deck, how long it lasts, and how long its victim needs to be
    well again.
    """

    verb: Verb
    target: Target
    weight: int
    least_s: float = 0.0
    most_s: float = 0.0
    recovery_s: float = 1.0


# Longer than two AMQP heartbeats of the world's (see world.HEARTBEAT_S): both ends have given each other up
# by then.
_LONG = (8.0, 14.0)
_PODS = (Target.GATEWAY, Target.ROUTER)
_MOVES = (
    *(_Move(Verb.KILL, pod, 4, 0.0, 3.0, 5.0) for pod in _PODS),
    *(_Move(Verb.STOP, pod, 2, 0.0, 2.0, 8.0) for pod in _PODS),
    *(_Move(Verb.PAUSE, pod, 2, 0.2, 3.0, 1.0) for pod in _PODS),
    *(_Move(Verb.PAUSE, pod, 2, *_LONG, 5.0) for pod in _PODS),
    *(_Move(Verb.CUT, pod, 2, 0.5, 8.0, 3.0) for pod in _PODS),
    *(_Move(Verb.STALL, pod, 1, 1.0, 12.0, 3.0) for pod in _PODS),
    *(_Move(Verb.RESET, pod, 2, 0.0, 0.0, 2.0) for pod in _PODS),
    _Move(Verb.KILL, Target.BROKER, 3, 0.0, 6.0, 25.0),
    _Move(Verb.STOP, Target.BROKER, 1, 0.0, 4.0, 25.0),
    _Move(Verb.PAUSE, Target.BROKER, 1, 0.5, 5.0, 10.0),
    _Move(Verb.PAUSE, Target.BROKER, 1, *_LONG, 25.0),
    _Move(Verb.RESET, Target.DOOR, 2),
    _Move(Verb.CUT, Target.DOOR, 1, 0.5, 5.0),
    _Move(Verb.STALL, Target.DOOR, 1, 0.5, 8.0),
    _Move(Verb.RESET, Target.CLIENT, 6),
)
# Even the shortest run has these, in some order.
_FIRST = (
    (Verb.KILL, Target.ROUTER),
    (Verb.KILL, Target.GATEWAY),
    (Verb.KILL, Target.BROKER),
    (Verb.RESET, Target.CLIENT),
)


def schedule(
    seed: int, duration_s: float, counts: Mapping[Target, int], *, every_s: float = 3.0
) -> tuple[Action, ...]:
    """Return what happens in ``duration_s`` seconds, everything over by then; ``counts``: how many there are
    of each target (DOOR is as GATEWAY; none of a target: nothing happens to it). ``every_s``: the time
    between two actions on the average.
    """
    random = Random(seed)  # not for secrets: for repeating
    drawing = _Deck(random, [move for move in _MOVES if _count(counts, move.target)])
    actions: list[Action] = []
    troubles: list[tuple[float, Target, int]] = []  # until when, who
    at_s = 0.0
    while True:
        at_s += random.uniform(0.3, 2.0 * every_s - 0.3)
        if at_s >= duration_s:
            return tuple(actions)
        troubles = [trouble for trouble in troubles if trouble[0] > at_s]
        move = drawing.next()
        lasts_s = round(random.uniform(move.least_s, move.most_s), 1)
        free = _free(troubles, move.target, _count(counts, move.target))
        if not free or at_s + lasts_s > duration_s:
            drawing.put_back(move)
            continue
        victim = random.choice(free)
        actions.append(Action(round(at_s, 2), lasts_s, move.verb, move.target, victim))
        troubles.append((at_s + lasts_s + move.recovery_s, _whose(move.target), victim))


class _Deck:
    """Moves are drawn without being put back until the deck is empty, so that a run of a minute has some of
    each.
    """

    def __init__(self, random: Random, moves: list[_Move]) -> None:
        self._random = random
        self._moves = moves
        self._cards = [
            next((move for move in moves if (move.verb, move.target) == first), None) for first in _FIRST
        ]
        random.shuffle(self._cards)
        self._delayed: list[_Move] = []

    def next(self) -> _Move:
        while True:
            if not self._cards:
                self._cards = [move for move in self._moves for _ in range(move.weight)]
                self._random.shuffle(self._cards)
                self._cards += self._delayed
                self._delayed = []
            card = self._cards.pop()
            if card is not None:
                return card

    def put_back(self, move: _Move) -> None:
        """It could not be done now: it comes again soon, but not at once."""
        self._delayed.append(move)
        if len(self._cards) > 2:
            self._cards.insert(-2, self._delayed.pop())


def _whose(target: Target) -> Target:
    return Target.GATEWAY if target is Target.DOOR else target


def _count(counts: Mapping[Target, int], target: Target) -> int:
    return counts.get(_whose(target), 0)


def _free(troubles: list[tuple[float, Target, int]], target: Target, count: int) -> list[int]:
    """Return who can be hurt now."""
    busy = {victim for _, whom, victim in troubles if whom is _whose(target)}
    spared = {Target.CLIENT: 0, Target.BROKER: count - 1}.get(target, 1 if count > 1 else 0)
    if len(busy) >= count - spared:
        return []
    return [victim for victim in range(count) if victim not in busy]
