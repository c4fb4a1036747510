"""weights: what a message takes, and the heaviest of many, against a list."""

from __future__ import annotations

from sys import getsizeof

from hypothesis import given
from hypothesis import strategies as st

from warren.envelope import Deliver
from warren.largest_first import ENTRY_BYTES, LargestFirst, kept_bytes


class Stone:
    """A thing with a weight."""

    def __init__(self, weight: int) -> None:
        self.bytes = weight
        self.rank = -1


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5_000)), max_size=80))
def test_none_weighs_twice_as_much_as_the_heaviest(script: list[tuple[int, int]]) -> None:
    """Whatever grew, shrank and went: what is found is here, and of the highest power of two."""
    weights: LargestFirst[Stone] = LargestFirst()
    stones: dict[int, Stone] = {}
    for name, weight in script:
        if weight % 7 == 0 and name in stones:
            weights.drop(stones.pop(name))
        elif name in stones:
            heavier = weight > stones[name].bytes
            stones[name].bytes = weight
            if heavier:
                weights.grown(stones[name])
        else:
            stones[name] = Stone(weight)
            weights.grown(stones[name])
        found = weights.heaviest()
        assert len(weights) == len(stones)
        if found is None:
            assert not stones
        else:
            assert found in stones.values()
            assert found.bytes.bit_length() == max(stone.bytes.bit_length() for stone in stones.values())


def test_those_of_one_weight_take_turns():
    """None is asked for all while others of its size give nothing."""
    weights: LargestFirst[Stone] = LargestFirst()
    stones = [Stone(10) for _ in range(3)]
    for stone in stones:
        weights.grown(stone)
    assert [weights.heaviest() for _ in range(6)] == stones * 2
    weights.drop(stones[0])
    weights.drop(stones[0])
    assert [weights.heaviest() for _ in range(2)] == stones[1:]


def test_a_message_weighs_what_its_parts_do() -> None:
    """Exactly where its texts are ASCII, and not less where they are not."""
    texts = ("chat:room", "CHAT", "g0~1", "somebody", "id-1", "")
    room, type_, conn, user, ident, key = texts
    message = Deliver(room, "e", 7, type_, b"x" * 100, 5, conn=conn, user=user, id=ident, key=key)
    parts = ENTRY_BYTES + getsizeof(message.payload)
    assert kept_bytes(message) == parts + sum(map(getsizeof, texts))
    wide = Deliver(room, "e", 7, type_, b"x" * 100, 5, conn=conn, user=user, id="ї" * 64, key="🐇" * 128)
    assert kept_bytes(wide) >= parts + sum(map(getsizeof, (room, type_, conn, user, wide.id, wide.key)))
