"""The take-over's order is what makes it safe: the model finds no fault in it, and one in each order with two steps swapped."""

from itertools import combinations

import pytest
from tests.model.takeover import ORDER, search

SWAPS = list(combinations(range(len(ORDER)), 2))


def _swapped(first, second):
    steps = list(ORDER)
    steps[first], steps[second] = steps[second], steps[first]
    return tuple(steps)


def test_the_order_of_the_design_has_no_fault():
    """No interleaving of two owners, deaths, late writes, late egress and silent gateways loses, doubles or reorders anything."""
    states, story = search()

    assert story is None
    assert states > 5_000


@pytest.mark.parametrize(("first", "second"), SWAPS)
def test_each_swap_of_two_steps_has_a_fault(first, second):
    """Whichever two steps are swapped, some interleaving breaks the promise."""
    _, story = search(_swapped(first, second))

    assert story is not None


def test_a_gateway_that_does_not_fence_itself_has_a_fault():
    """A gateway whose lease has ended must take nothing until it has announced itself; else it can deliver what no log has."""
    _, story = search(self_fencing=False)

    assert story is not None
