"""memory_budget: who goes when all connections together hold too much."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.memory_budget import LEAST_BYTES, End, Holding, MemoryBudget, Standing
from warren.errors import CloseCode

KIB = 1024
ENDING, UNKNOWN, KNOWN = Standing


def test_nobody_goes_while_all_is_within_the_limit():
    """The limit itself is within."""
    budget = MemoryBudget(100 * KIB)
    assert budget.over([]) == []
    assert budget.over([Holding(KNOWN, 50 * KIB, 30 * KIB, 20 * KIB)]) == []


def test_who_is_closing_goes_first_then_the_unknown_then_the_largest():
    """Each with its code: cut, overloaded, too slow for what was not taken, overloaded for what has not come whole."""
    budget = MemoryBudget(100 * KIB)
    holdings = [
        Holding(KNOWN, 0, 60 * KIB, 0),
        Holding(KNOWN, 61 * KIB, 0, 10 * KIB),
        Holding(UNKNOWN, 5 * KIB, 0, 0),
        Holding(UNKNOWN, 6 * KIB, 0, 0),
        Holding(ENDING, 0, 10 * KIB, 0),
        Holding(KNOWN, 50 * KIB, 0, 0),
        Holding(UNKNOWN, 1 * KIB, 0, 0),
    ]
    assert budget.over(holdings) == [
        End(4, None, "ending"),
        End(3, CloseCode.OVERLOADED, "unknown"),
        End(2, CloseCode.OVERLOADED, "unknown"),
        End(1, CloseCode.OVERLOADED, "receiving"),
        End(0, CloseCode.TOO_SLOW, "sending"),
    ]


@given(
    st.lists(
        st.builds(
            Holding,
            st.sampled_from(list(Standing)),
            st.integers(0, 300 * KIB),
            st.integers(0, 300 * KIB),
            st.integers(0, 32 * KIB),
        ),
        max_size=40,
    ),
    st.integers(64 * KIB, 4_000 * KIB),
)
def test_what_is_left_is_below_three_quarters_and_nobody_goes_for_a_larger_one_of_its_kind(holdings, limit):
    """Only those who hold next to nothing may keep it above; who goes held at least as much as who of its standing stays."""
    ends = MemoryBudget(limit).over(holdings)
    gone = {end.index for end in ends}
    left = [holding for index, holding in enumerate(holdings) if index not in gone]
    total = sum(holding.total for holding in holdings)
    if total <= limit:
        assert not ends
        return
    assert sum(holding.total for holding in left) <= limit * 3 // 4 or all(one.total < LEAST_BYTES for one in left)
    for end in ends:
        went = holdings[end.index]
        for stays in left:
            assert stays.total < LEAST_BYTES or (stays.standing, -stays.total) >= (went.standing, -went.total)
