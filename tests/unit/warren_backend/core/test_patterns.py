"""Patterns of topics, as RabbitMQ reads them."""

from __future__ import annotations

import itertools

import pytest

from warren_backend.core.patterns import fits, overlap


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "anything.at.all", True),
        ("#.c", "a.b.c", True),
        ("a.#.z", "a.z", True),
        ("a.#.z", "a.b.c.y", False),
        ("*", "", True),  # one empty word
        ("a.1", "a.1", True),
    ],
)
def test_a_key_fits_or_not(pattern: str, key: str, expected: bool) -> None:
    """A star is one word, a hash any number."""
    assert fits(pattern, key) == expected


def test_a_wildcard_in_a_key_is_a_word_like_others() -> None:
    """Only the pattern's stand for more."""
    assert not fits("a.b", "a.*")
    assert not fits("a.b", "#")


def test_two_overlap_where_some_key_fits_both() -> None:
    """Compared with all keys of up to four words of two letters."""
    words = ["a", "b", "*", "#"]
    keys = [".".join(key) for size in range(1, 5) for key in itertools.product("ab", repeat=size)]
    patterns = [".".join(each) for size in (1, 2, 3) for each in itertools.product(words, repeat=size)]
    for first, second in itertools.product(patterns[::3], patterns[::2]):
        found = any(fits(first, key) and fits(second, key) for key in keys)
        # two patterns of three words meet in a key of four, or nowhere (or in the empty one)
        assert overlap(first, second) == found, (first, second)


def test_many_hashes_cost_little() -> None:
    """The work grows with the product of the lengths, not with all ways to fit."""
    assert not fits(".".join(["#", "a"] * 40), ".".join("a" * 39 + "b"))
