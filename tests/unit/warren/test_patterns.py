"""Patterns of names, whatever is named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "anything", True),
        ("*", "", True),
        ("chat:*", "chat:lobby", True),
        ("chat:*", "chat:", True),
        ("chat:*", "chat", False),
        ("chat:*", "xchat:a", False),
        ("lobby", "lobby", True),
        ("lobby", "lobby2", False),
        ("*:end", "a:end", True),
        ("*:end", "end", False),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("a.c", "abc", False),
        ("[a]", "a", False),
        ("a**b", "ab", True),
    ],
)
def test_a_star_stands_for_any_run_and_nothing_else_is_special(
    pattern: str, name: str, expected: bool
) -> None:
    """A star stands for any run of characters, and every other character for itself."""
    assert matches(pattern, name) is expected


@given(st.text("ab*.", max_size=12), st.text("ab.", max_size=16))
def test_matching_agrees_with_a_regular_expression(pattern: str, name: str) -> None:
    """Whatever the pattern, matching agrees with the regular expression that it means."""
    regex = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert matches(pattern, name) is (re.fullmatch(regex, name, re.DOTALL) is not None)


def test_a_pattern_full_of_stars_costs_no_more_than_its_length() -> None:
    """A hostile pattern with 60 stars, which a backtracking matcher would never finish, is
    answered at once.
    """
    assert matches("*a" * 60 + "b", "a" * 128) is False
