"""How requests and their durable answers are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.durable_answers import (
    PARTS_MAX,
    REF_MAX_BYTES,
    Answer,
    answer_id,
    answer_of,
    parse_request_name,
    request_name,
)

REFS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=30)


@given(REFS)
def test_a_request_is_found_by_its_name(ref: str) -> None:
    """Whatever a client has called it."""
    assert parse_request_name(request_name("ann@example.org", ref)) == ("ann@example.org", ref)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ann",
        "ann~",
        "~r",
        "@ann~r",
        "a b~r",
        "ann~\n",
        "ann~\ud800",
        "ann~" + "ä" * (REF_MAX_BYTES // 2 + 1),
    ],
)
def test_what_is_no_name_of_a_request_is_found_out(name: str) -> None:
    """A backend may have written anything."""
    assert parse_request_name(name) is None


def test_the_longest_name_fits_a_short_string_of_amqp() -> None:
    """127 characters of a user's name, and the rest."""
    assert len(request_name("u" * 127, "x" * REF_MAX_BYTES).encode()) <= 255


@given(REFS, st.integers(1, PARTS_MAX), st.booleans())
def test_a_part_of_an_answer_is_found_by_its_id(ref: str, n: int, more: bool) -> None:
    """An only part has no number for the client."""
    assert answer_of(answer_id(ref, n, more)) == Answer(ref, n if n > 1 or more else 0, more)


@pytest.mark.parametrize(
    "name", ["", "r", "1/r", "~/0/r", "~/1/", "~//r", "~/1-/r", "~/9999999999/r", "~r1.2"]
)
def test_an_id_of_another_kind_answers_nothing(name: str) -> None:
    """Nobody else makes messages of this type; whatever came is shown without a ref."""
    assert answer_of(name) == Answer("")
