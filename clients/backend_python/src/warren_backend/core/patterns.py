"""Patterns of AMQP topics: whether a routing key fits one, and whether two of them can fit the same key.

Words are separated by dots; ``*`` stands for one word, ``#`` for any number of them. Nothing here knows what
the words mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

# What the wildcards become; no word of a key is like these.
_ONE: Final = 1
_ANY: Final = 2
_WILDCARDS: Final = {"*": _ONE, "#": _ANY}

_Word = str | int


def fits(pattern: str, key: str) -> bool:
    """Say whether a routing key fits a pattern."""
    return _meet(_words(pattern), key.split("."))


def overlap(first: str, second: str) -> bool:
    """Say whether some routing key fits both patterns."""
    return _meet(_words(first), _words(second))


def _words(pattern: str) -> list[_Word]:
    return [_WILDCARDS.get(word, word) for word in pattern.split(".")]


def _meet(left: Sequence[_Word], right: Sequence[_Word]) -> bool:
    @cache
    def meet(one: int, other: int) -> bool:
        ended = (one == len(left), other == len(right))
        if all(ended):
            return True
        if not ended[0] and left[one] == _ANY:
            return meet(one + 1, other) or (not ended[1] and meet(one, other + 1))
        if not ended[1] and right[other] == _ANY:
            return meet(one, other + 1) or (not ended[0] and meet(one + 1, other))
        if any(ended):
            return False
        alike = left[one] == right[other] or _ONE in (left[one], right[other])
        return alike and meet(one + 1, other + 1)

    return meet(0, 0)
