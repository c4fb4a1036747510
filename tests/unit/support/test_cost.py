"""cost: lines are counted, and what takes longer is found to."""

from tests.support.cost import STEP, is_linear, lines, takes_at_most


def test_a_loop_costs_lines_and_a_call_into_c_does_not():
    """That is the difference that is to be held."""

    def loop(count):
        total = 0
        for one in range(count):
            total += one
        return total

    assert lines(lambda: loop(200)) - lines(lambda: loop(100)) == 200
    assert lines(lambda: sum(range(200))) == lines(lambda: sum(range(100_000)))


def test_what_takes_far_more_than_its_bound_is_found():
    """By how much more is the machine's affair."""
    dear, cheap = (lambda: sum(range(400_000))), (lambda: sum(range(10_000)))
    assert takes_at_most(400, dear, cheap)
    assert not takes_at_most(4, dear, cheap)


def test_what_grows_with_the_square_is_told_from_what_grows_with_the_size():
    """Also where all of it is one line of Python."""
    members = [list(range(size)) for size in (300, 300 * STEP)]
    assert is_linear(sorted, *members)
    assert not is_linear(lambda numbers: [one in numbers for one in reversed(numbers)], *members)
