"""Receipts: complete once each gateway has been told or is gone, and never said to be before."""

import pytest

from router.core.effects import Accepted
from router.core.receipts import AGAIN_S, Receipts
from warren.envelope import Progress, Receipt
from warren.position import LogPosition

GATEWAYS = {"g1": (1, 9), "g2": (4, 2)}


def accepted(ident="m", gateways=("g1", "g2"), *, written=True, index=3):
    return Accepted(index, "r1", ident, "a", "e", 7, False, gateways, 2, 3, written)


def progress(gateway, offset, index=3, life=None, log="l"):
    return Progress(gateway, 0, life or GATEWAYS[gateway][0], LogPosition(log, offset, index))


def receipt(ident="m", gateways=2, written=0, lost=0, complete=True):
    return Receipt(ident, "a", "e", 7, False, 2, 3, gateways, written, lost, complete)


@pytest.mark.parametrize("effect", [accepted(written=False), accepted(gateways=())])
def test_where_nothing_is_waited_for_the_receipt_is_complete_at_once(effect):
    """It asks for no more than its place, or nobody is there."""
    receipts = Receipts()
    told = receipts.accepted(effect, 40, GATEWAYS, 0.0)
    assert told == ("r1", receipt(gateways=len(effect.gateways)))
    assert (len(receipts), receipts.ask(0.0)) == (0, [])


def test_a_receipt_is_complete_with_the_last_gateway_that_was_told():
    """At its place or beyond; a gateway that says so twice counts once."""
    receipts = Receipts()
    assert receipts.accepted(accepted(), 40, GATEWAYS, 0.0) is None
    assert receipts.ask(0.0) == ["g1", "g2"]
    assert receipts.progress(progress("g1", 40), "l") == []
    assert receipts.progress(progress("g1", 41), "l") == []
    assert receipts.ask(AGAIN_S) == ["g2"]
    assert receipts.progress(progress("g2", 52, 0), "l") == [("r1", receipt(written=2))]
    assert (len(receipts), receipts.ask(9.0)) == (0, [])


@pytest.mark.parametrize(
    "said",
    [
        progress("g1", 39, 9),
        progress("g1", 40, 2),
        progress("g1", 41, life=2),
        progress("g1", 41, log="another"),
        Progress("g1", 0, 1, None),
    ],
)
def test_who_stands_lower_or_elsewhere_has_written_nothing(said):
    """Also in another life of the log, or of its own."""
    receipts = Receipts()
    receipts.accepted(accepted(gateways=("g1",)), 40, GATEWAYS, 0.0)
    assert receipts.progress(said, "l") == []
    assert receipts.ask(0.0) == ["g1"]


def test_a_gateway_whose_life_has_ended_is_lost_and_no_time_out():
    """Another life's end says nothing about it."""
    receipts = Receipts()
    receipts.accepted(accepted(), 40, GATEWAYS, 0.0)
    assert receipts.ended("g2", 3) == []
    assert receipts.progress(progress("g1", 40), "l") == []
    assert receipts.ended("g2", 4) == [("r1", receipt(written=1, lost=1))]


def test_what_waits_too_long_is_said_not_to_be_complete():
    """With what is known by then; what came later waits on."""
    receipts = Receipts(patience_s=5.0)
    receipts.accepted(accepted("m1"), 40, GATEWAYS, 0.0)
    receipts.accepted(accepted("m2"), 41, GATEWAYS, 1.0)
    receipts.progress(progress("g1", 40), "l")
    assert receipts.expire(4.9) == []
    assert receipts.expire(5.0) == [("r1", receipt("m1", written=1, complete=False))]
    assert receipts.progress(progress("g2", 41), "l") == []
    assert receipts.progress(progress("g1", 41), "l") == [("r1", receipt("m2", written=2))]


def test_beyond_the_bound_nothing_is_waited_for():
    """It is told at once that this is not all."""
    receipts = Receipts(count=1)
    assert receipts.accepted(accepted("m1"), 40, GATEWAYS, 0.0) is None
    assert receipts.accepted(accepted("m2"), 41, GATEWAYS, 0.0) == ("r1", receipt("m2", complete=False))
    assert len(receipts) == 1


def test_gateways_are_asked_again_in_a_while():
    """Not each time that somebody looks."""
    receipts = Receipts()
    receipts.accepted(accepted(gateways=("g1",)), 40, GATEWAYS, 0.0)
    assert receipts.ask(0.0) == ["g1"]
    assert receipts.ask(AGAIN_S / 2) == []
    assert receipts.ask(AGAIN_S) == ["g1"]
    receipts.clear()
    assert (receipts.ask(9.0), len(receipts)) == ([], 0)
