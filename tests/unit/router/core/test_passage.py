"""Passage: a stretch of the log, what of it may count, and whether it tells enough."""

import pytest

from router.core.passage import Passage
from warren.envelope import Checkpoint, Claim, Deliver, Marker

SECOND = 1_000_000


def entry(seq, *, term=1, at_s=0):
    return Deliver("a", "e", seq, "CHAT", b"1", at_s * SECOND + 1, term)


def checkpoint(term=1, *, last=True):
    return Checkpoint(term, 1, 1, (("a", "e", 1),), last)


def passage(*envelopes):
    made = Passage()
    for envelope in envelopes:
        made.take([envelope])
    return made


def test_what_lower_terms_wrote_before_a_term_without_its_marker_is_left_out():
    """The marker lies before the stretch, so all of it was written too late."""
    late, counting = [entry(1), checkpoint(1), entry(2)], [entry(1, term=3), entry(2, term=3)]
    assert list(passage(*late, *counting).entries()) == counting
    told = [*late, Marker("r2", 3), *counting]
    assert list(passage(*told).entries()) == told


def test_the_first_term_of_a_stretch_is_taken_from_its_first_entry():
    """Nothing is left out where nothing lower comes before."""
    assert list(passage(entry(1), entry(2)).entries()) == [entry(1), entry(2)]


@pytest.mark.parametrize(
    ("envelopes", "enough"),
    [
        ([entry(1), checkpoint(), entry(2, at_s=10)], True),
        ([entry(1), checkpoint(), entry(2, at_s=9)], False),  # too young
        ([entry(1), entry(2, at_s=10)], False),  # no checkpoint
        ([checkpoint(), entry(1), entry(2, at_s=10)], False),  # its first parts may lie before the stretch
        ([checkpoint(last=False), checkpoint(), checkpoint(), entry(1), entry(2, at_s=10)], True),
        ([entry(1), checkpoint(last=False), entry(2, at_s=10)], False),  # not whole
        ([Marker("r2", 3), entry(1, term=3), checkpoint(1), entry(2, term=3, at_s=10)], False),  # a fenced owner's
        (
            [Marker("r2", 3), entry(0, at_s=0), checkpoint(3), entry(1, term=3, at_s=9), entry(2, term=3, at_s=10)],
            False,
        ),
        ([Claim("r2", 1), entry(1), checkpoint(), entry(2, at_s=10)], True),
        ([checkpoint(), checkpoint()], False),  # who knows how old it is
        ([], False),
    ],
)
def test_it_tells_enough_with_a_whole_checkpoint_and_all_that_is_young(envelopes, enough):
    """A checkpoint that counts, every part of it, and a first entry that is older than the horizon."""
    assert passage(*envelopes).tells_enough(10 * SECOND) is enough
