"""What was delivered, held to what was due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_conformance.deliveries import difference, missing


@pytest.mark.parametrize(
    ("given_seqs", "due", "words"),
    [
        ([1, 2, 2], [1, 2, 3], "2 of r twice"),
        ([1, 3], [1, 2, 3], "3 of r although 2 was due before it"),
        ([1, 9], [1, 2], "9 of r, and 2 was due"),
        ([1, 2, 3], [1, 2], "3 of r, which was not due"),
        ([2, 1], [1, 2], "2 of r although 1"),
    ],
)
def test_what_went_wrong_is_said(given_seqs: list[int], due: list[int], words: str) -> None:
    """Repeats, disorder and surplus each have their sentence."""
    assert words in (difference("r", given_seqs, due) or "")


@given(st.lists(st.integers(1, 9), max_size=8), st.lists(st.integers(1, 9), max_size=8))
def test_only_a_beginning_of_what_is_due_is_right(given_seqs: list[int], due: list[int]) -> None:
    """A sentence comes exactly where the deliveries leave the path."""
    assert (difference("r", given_seqs, due) is None) is (due[: len(given_seqs)] == given_seqs)


def test_what_never_came_is_named() -> None:
    """With what came before it, or with nothing."""
    assert "message 2 of r (it has delivered 1)" in missing("r", [1], [1, 2])
    assert "message 1 of r (it has delivered none)" in missing("r", [], [1])
