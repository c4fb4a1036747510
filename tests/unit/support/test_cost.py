"""cost: lines are counted, and what takes longer is found to."""

from tests.support.cost import lines, times


def test_a_loop_costs_lines_and_a_call_into_c_does_not():
    """That is the difference that is to be held."""

    def loop(count):
        total = 0
        for one in range(count):
            total += one
        return total

    assert lines(lambda: loop(200)) - lines(lambda: loop(100)) == 200
    assert lines(lambda: sum(range(200))) == lines(lambda: sum(range(100_000)))


def test_twice_the_work_is_dearer():
    """By how much is the machine's affair."""
    assert times(lambda: sum(range(400_000)), lambda: sum(range(100_000))) > 1.5
