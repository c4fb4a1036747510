"""arrival: since when each byte may have been there."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.arrival_times import MARKS_MAX, ArrivalTimes


def test_each_byte_has_the_bound_of_its_chunk():
    """A message counts as having come with its last byte."""
    arrivals = ArrivalTimes()
    arrivals.came(10, 1.0)
    arrivals.came(10, 2.0)
    assert [arrivals.of(15), arrivals.of(10), arrivals.of(9), arrivals.of(0)] == [1.0, 1.0, 2.0, 2.0]
    arrivals.came(5, 3.0)
    assert arrivals.of(0) == 3.0


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3)), min_size=1, max_size=80), st.data())
def test_a_bound_is_never_later_than_the_chunk_and_what_is_kept_is_bounded(chunks, data):
    """Merging is in the client's favour, and only beyond so many bounds."""
    arrivals, bounds, taken, since = ArrivalTimes(), [], 0, 0.0
    for size, step in chunks:
        since += step
        arrivals.came(size, since)
        bounds += [since] * size
        assert len(arrivals._marks) <= MARKS_MAX
        take = data.draw(st.integers(0, len(bounds) - taken))
        if take:
            taken += take
            found = arrivals.of(len(bounds) - taken)
            assert found <= bounds[taken - 1]
            if len(set(bounds)) <= MARKS_MAX:
                assert found == bounds[taken - 1]
