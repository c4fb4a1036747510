"""An explicit-state search over production classes: every interleaving of a small scenario, each state
visited once.

Production objects are mutable, and states must not be. So a state holds numbers, each of which stands for one
interned content of an object: a step takes a copy of it, calls it, and interns what came out; the same call
on the same content is never made twice. A step is a fault (a budget is spent: something dies, is lost, comes
twice) or progress; from each state, progress alone must lead to a state in which all is well.
"""

from __future__ import annotations

import enum
import functools
import itertools
import pickle
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import msgspec

# Counters for people, caches, and second views of what is held elsewhere: they make no difference to what an
# object does.
IGNORED = {
    "duplicates",
    "skipped",
    "spelled",
    "_epochs",
    "_state",
    "_gateways",
    "_ended",
    "_order",
    "build",
    "wait_s",
    "due",
}
ATOMS = frozenset({str, bytes, int, float, bool, type(None), frozenset, type})


def frozen(thing: Any) -> Hashable:
    """Return what an object's content is, as something that can be compared; what has an order keeps it."""
    kind = type(thing)
    if kind in ATOMS or isinstance(thing, enum.Enum):
        return thing
    if kind is tuple or kind is list or kind is deque:
        return tuple(map(frozen, thing))
    if isinstance(thing, dict):
        return tuple([(frozen(key), frozen(value)) for key, value in thing.items()])
    if kind is set:
        return frozenset(thing)
    if kind is itertools.count:
        return repr(thing)
    if isinstance(thing, msgspec.Struct) and thing.__struct_config__.frozen:
        return thing
    names = getattr(thing, "__struct_fields__", None) or (*_slots(kind), *getattr(thing, "__dict__", ()))
    return (kind, *[frozen(getattr(thing, name)) for name in names if name not in IGNORED])


@functools.cache
def _slots(kind: type) -> tuple[str, ...]:
    return tuple(
        name for base in kind.__mro__ for name in getattr(base, "__slots__", ()) if name != "__weakref__"
    )


class Store:
    """Contents of objects, each under a number; and what calls have made of them."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._objects: list[bytes] = []
        self._made: dict[Hashable, tuple[int, Any]] = {}
        self._looked: dict[Hashable, Any] = {}

    def put(self, thing: object) -> int:
        content = frozen(thing)
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self._objects)
            self._objects.append(pickle.dumps(thing, pickle.HIGHEST_PROTOCOL))
        return number

    def call(self, number: int, name: str, *arguments: Hashable) -> tuple[int, Any]:
        """Call a method that changes the object: return the number of what it is afterwards, and
        the result.
        """
        key = (number, name, arguments)
        made = self._made.get(key)
        if made is None:
            thing = pickle.loads(self._objects[number])
            result = getattr(thing, name)(*arguments)
            made = self._made[key] = (self.put(thing), result)
        return made

    def look(self, number: int, name: str, *arguments: Hashable) -> Any:
        """Call a method that changes nothing that counts."""
        key = (number, name, arguments)
        if key not in self._looked:
            self._looked[key] = getattr(pickle.loads(self._objects[number]), name)(*arguments)
        return self._looked[key]


class Broken(Exception):
    """A promise does not hold."""


class Step(NamedTuple):
    """One thing that can happen, what it leads to, and whether it is a fault."""

    name: str
    state: Hashable
    fault: bool = False


class Found(NamedTuple):
    """What a search has come to."""

    states: int
    story: list[str] | None  # the shortest that ends in a broken promise, which is its last line

    @property
    def verdict(self) -> str:
        return "all is well" if self.story is None else self.story[-1]


def search(
    first: Hashable, following: Callable[[Any], Iterable[Step]], well: Callable[[Any], bool], limit: int
) -> Found:
    """Visit every state that can be reached; at most ``limit``, beyond which the scenario is too large."""
    numbers: dict[Hashable, int] = {first: 0}
    states: list[Any] = [first]
    came: list[tuple[int, str] | None] = [None]
    backward: list[list[int]] = [[]]  # by progress
    good: list[int] = []
    at = 0
    while at < len(states):
        state = states[at]
        try:
            if well(state):
                good.append(at)
            for name, after, fault in following(state):
                number = numbers.get(after)
                if number is None:
                    number = numbers[after] = len(states)
                    states.append(after)
                    came.append((at, name))
                    backward.append([])
                if not fault:
                    backward[number].append(at)
        except Broken as broken:
            return Found(len(states), [*_story(came, at), str(broken)])
        at += 1
        if at > limit:
            raise RuntimeError(f"more than {limit} states")
    reached = set(good)
    todo = deque(good)
    while todo:
        for number in backward[todo.popleft()]:
            if number not in reached:
                reached.add(number)
                todo.append(number)
    for number in range(len(states)):
        if number not in reached:
            return Found(len(states), [*_story(came, number), "from here on it never comes right"])
    return Found(len(states), None)


def _story(came: list[tuple[int, str] | None], at: int) -> list[str]:
    story = []
    while (link := came[at]) is not None:
        at, name = link
        story.append(name)
    return story[::-1]
