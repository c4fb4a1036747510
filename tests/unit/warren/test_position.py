"""Positions: the gap between two, and what may come from outside."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren.position import Position

EPOCHS = st.from_regex(r"[0-9a-z.\-]{1,40}", fullmatch=True)
POSITIONS = st.builds(Position, EPOCHS, st.integers(0, 2**53))


@given(POSITIONS, POSITIONS)
def test_a_gap_is_known_in_one_epoch_only(one: Position, other: Position) -> None:
    """Between two lives of a log nobody can say how many messages lie; in one it is the difference, either
    way round.
    """
    if one.epoch == other.epoch:
        assert one.gap(other) == one.seq - other.seq
        assert other.gap(one) == -(one.seq - other.seq)
    else:
        assert one.gap(other) is None


def test_a_gap_is_how_many_messages_lie_between() -> None:
    """In a new life of the log it is not known, however near the seqs are."""
    assert Position("a", 4).gap(Position("a", 1)) == 3
    assert Position("b", 2).gap(Position("a", 1)) is None


@given(POSITIONS)
def test_ours_are_valid_and_travel_as_an_array(position: Position) -> None:
    """A position is valid, equal to its copy, and [epoch, seq] on the bus."""
    assert position.is_valid()
    assert msgspec.json.decode(msgspec.json.encode(position)) == [position.epoch, position.seq]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(position), type=Position) == position


@pytest.mark.parametrize(
    ("epoch", "seq"), [("", 0), ("A", 0), ("a b", 0), ("a\n", 0), ("a" * 41, 0), ("a", -1)]
)
def test_what_can_t_be_ours_is_not_valid(epoch: str, seq: int) -> None:
    """An epoch out of the rule or a negative seq is no position of ours."""
    assert not Position(epoch, seq).is_valid()
