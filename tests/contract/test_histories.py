"""Two histories: what a gateway tells from its memory of a room is what the router's history tells, or
nothing.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.recent_messages import RecentMessages
from router.core.history import History
from warren.envelope import Deliver
from warren.namespaces import HistoryPolicy, Namespaces, RoomPolicy
from warren.position import Position

S = 1_000_000
STEPS = st.lists(
    st.tuples(
        st.integers(0, 4 * S),  # passes before it is said
        st.sampled_from([0, 0, 0, -S, S]),  # gateways' clocks differ
        st.sampled_from([1, 1, 1, 90_000]),
        st.sampled_from([0, 0, 0, 103_000]),
        st.sampled_from([False, False, False, False, True]),  # the room begins a new epoch
    ),
    max_size=14,
)
QUESTIONS = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 7)), max_size=6)


@given(
    steps=STEPS,
    enters=st.integers(0, 14),
    count=st.integers(0, 6),
    floor_us=st.sampled_from([0, 2 * S, 20 * S]),
    room_bytes=st.sampled_from([1_000, 200_000, 10**7]),
    later=st.integers(0, 12 * S),
    questions=QUESTIONS,
)
def test_a_gateway_tells_what_the_router_tells_or_nothing(
    steps, enters, count, floor_us, room_bytes, later, questions
):
    """Of who comes back and of HISTORY, whenever the gateway's first member entered; what went for its bytes
    at the gateway is not told.
    """
    policy = HistoryPolicy(count, 10)
    history = History(10**8, 10**8, floor_us)
    recent = RecentMessages(Namespaces([RoomPolicy(history=policy)]), room_bytes, 10**8)
    now, position = 100 * S, Position("e0", 0)
    for number, (passes, off_us, size, expires_ms, anew) in enumerate(steps):
        now += passes
        if anew:
            position = Position(f"e{number + 1}", 0)
        position = Position(position.epoch, position.seq + 1)
        said = Deliver(
            "r", position.epoch, position.seq, "T", b"x" * size, now + off_us, expires_ms=expires_ms
        )
        if policy.kept:
            history.put(said, policy, now)
        if number == enters:
            recent.begin("r", position)
        elif number > enters:
            recent.put(said)
    now += later
    for before, limit in questions:
        told = recent.page("r", before, limit, now)
        if told is not None:
            assert told == history.page("r", before, max(1, limit), 256 * 1024, now)
        since = Position(position.epoch, position.seq - before)
        missed = recent.since("r", since, position, now)
        if missed is not None:
            assert missed == history.since(since, position, "r", now)
