"""memory_budget: who goes when all connections together hold too much."""

from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.memory_budget import LEAST_BYTES, End, Holding, MemoryBudget, Standing
from warren.errors import CloseCode

KIB = 1024
ENDING, UNKNOWN, KNOWN = Standing


class Rooms:
    """Connections and the chunks that wait for each, and how many chunks were looked at."""

    def __init__(self) -> None:
        self.chunks: list[list[bytes]] = []
        self.holdings: list[Holding] = []
        self.looked_at = 0

    def add(self, *chunks: bytes, standing: Standing = KNOWN, receiving: int = 0, queue: int = 0) -> None:
        self.chunks.append(list(chunks))
        self.holdings.append(Holding(standing, receiving, sum(map(len, chunks)), 0, queue))

    def of(self, index: int) -> Iterator[bytes]:
        for chunk in self.chunks[index]:
            self.looked_at += 1
            yield chunk

    def held(self, without: Iterable[int] = ()) -> int:
        """Return what is really held, as someone would count who has time."""
        left = [index for index in range(len(self.holdings)) if index not in set(without)]
        unique = {id(chunk): len(chunk) for index in left for chunk in self.chunks[index]}
        return sum(self.holdings[index].own for index in left) + sum(unique.values())


def over(limit: int, holdings: list[Holding]) -> list[End]:
    """Return who has to go where no chunk is held by two."""
    chunks = [[bytes(holding.sending)] for holding in holdings]
    return MemoryBudget(limit).over(holdings, 1 << 40, lambda index: chunks[index])


def test_nobody_goes_while_all_is_within_the_limit():
    """The limit itself is within."""
    assert over(100 * KIB, []) == []
    assert over(100 * KIB, [Holding(KNOWN, 50 * KIB, 30 * KIB, 0, 20 * KIB)]) == []
    assert over(100 * KIB, [Holding(KNOWN, 50 * KIB, 30 * KIB, 0, 20 * KIB + 1)])


def test_windows_are_not_in_it():
    """Idle clients whose messages are compressed hold nothing else; neither do they go, nor
    anybody for them.
    """
    idle = [Holding(KNOWN, 0, 0, 32 * KIB)] * 1_000
    assert over(100 * KIB, idle) == []
    assert [end.index for end in over(100 * KIB, [*idle, Holding(KNOWN, 101 * KIB, 0, 0)])] == [1_000]


def test_a_chunk_that_many_wait_for_is_held_once():
    """400 members of a room for whom the same megabyte waits hold a megabyte, however long they take."""
    budget, rooms = MemoryBudget(4_096 * KIB), Rooms()
    large = bytes(1_024 * KIB)
    for _ in range(400):
        rooms.add(large, queue=96)
    assert budget.over(rooms.holdings, len(large), rooms.of) == []
    assert budget.over(rooms.holdings, 1 << 40, rooms.of) == []
    assert budget.chunks == len(large)


def test_chunks_are_looked_at_again_only_where_enough_was_spelled_since():
    """The cheap sum may stay beyond the limit for minutes: nothing is looked at until what waits could have
    grown beyond the limit.
    """
    budget, rooms = MemoryBudget(100 * KIB), Rooms()
    shared = bytes(30 * KIB)
    for _ in range(10):
        rooms.add(shared)
    spelled = 500 * KIB
    assert budget.over(rooms.holdings, spelled, rooms.of) == []
    assert rooms.looked_at == 10
    for more in range(0, 71 * KIB, KIB):
        assert budget.over(rooms.holdings, spelled + more, rooms.of) == []
    assert rooms.looked_at == 10
    private = [bytes(70 * KIB), bytes(1 * KIB)]
    rooms.add(*private)
    assert [end.index for end in budget.over(rooms.holdings, spelled + 71 * KIB, rooms.of)] == [10]


def test_who_frees_most_goes_first_not_who_has_most_waiting():
    """Members of a busy room share what waits for them; who sends halves of messages goes before them."""
    rooms = Rooms()
    shared = [bytes(10 * KIB) for _ in range(6)]
    for _ in range(20):
        rooms.add(*shared)
    for _ in range(3):
        rooms.add(receiving=40 * KIB)
    ends = MemoryBudget(100 * KIB).over(rooms.holdings, 1 << 40, rooms.of)
    assert [(end.index, end.of) for end in ends] == [(20, "receiving"), (21, "receiving"), (22, "receiving")]


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 15)), st.integers(0, 40 * KIB), st.integers(0, 4 * KIB)),
        max_size=20,
    ),
    st.lists(st.integers(1, 64 * KIB), min_size=16, max_size=16),
    st.integers(8 * KIB, 500 * KIB),
)
def test_nobody_goes_unless_what_is_really_held_is_too_much_and_then_as_few_as_need(members, sizes, limit):
    """Against a count of each chunk's identity: what is left is clearly less, and would not be had the last
    one stayed.
    """
    pool = [bytes(size) for size in sizes]
    rooms = Rooms()
    for which, receiving, queue in members:
        rooms.add(*(pool[one] for one in sorted(which)), receiving=receiving, queue=queue)
    budget = MemoryBudget(limit)
    ends = [end.index for end in budget.over(rooms.holdings, sum(sizes), rooms.of)]
    if rooms.held() <= limit:
        assert ends == []
        assert budget.chunks + sum(holding.own for holding in rooms.holdings) >= rooms.held()
        return
    low = limit * 3 // 4
    if ends:
        assert rooms.held(ends[:-1]) > low
    if rooms.held(ends) > low:
        stay = [index for index in range(len(rooms.holdings)) if index not in ends]
        holders = [sum(chunk is other for one in rooms.chunks for other in one) for chunk in pool]
        share = {id(chunk): len(chunk) // max(1, count) for chunk, count in zip(pool, holders, strict=True)}
        for index in stay:
            fair = sum(share[id(chunk)] if len(chunk) >= KIB else len(chunk) for chunk in rooms.chunks[index])
            assert fair + rooms.holdings[index].own < LEAST_BYTES


def test_who_is_closing_goes_first_then_the_unknown_then_the_largest():
    """Each with its code: cut, overloaded, too slow for what was not taken, overloaded for what has not come
    whole.
    """
    holdings = [
        Holding(KNOWN, 0, 60 * KIB, 0),
        Holding(KNOWN, 71 * KIB, 0, 10 * KIB),
        Holding(UNKNOWN, 5 * KIB, 0, 0),
        Holding(UNKNOWN, 6 * KIB, 0, 0),
        Holding(ENDING, 0, 10 * KIB, 0),
        Holding(KNOWN, 50 * KIB, 0, 0),
        Holding(UNKNOWN, 1 * KIB, 0, 0),
    ]
    assert over(100 * KIB, holdings) == [
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
    """Only those who hold next to nothing may keep it above; who goes held at least as much as who of its
    standing stays.
    """
    ends = over(limit, holdings)
    gone = {end.index for end in ends}
    left = [holding for index, holding in enumerate(holdings) if index not in gone]
    total = sum(holding.total for holding in holdings)
    if total <= limit:
        assert not ends
        return
    assert sum(holding.total for holding in left) <= limit * 3 // 4 or all(
        one.total < LEAST_BYTES for one in left
    )
    for end in ends:
        went = holdings[end.index]
        for stays in left:
            assert stays.total < LEAST_BYTES or (stays.standing, -stays.total) >= (went.standing, -went.total)
