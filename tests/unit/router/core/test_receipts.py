"""Receipts: complete once each gateway has been told or is gone, and never said to be before."""

import pytest

from router.core.effects import Accepted, SeenChanged
from router.core.receipts import AGAIN_S, SEEN_PATIENCE_S, Receipts
from warren.envelope import Progress, Receipt
from warren.log_entries import RECEIPT_ACCEPTED, RECEIPT_SEEN, RECEIPT_WRITTEN
from warren.position import LogPosition

GATEWAYS = {"g1": (1, 9), "g2": (4, 2)}


def accepted(ident="m", gateways=("g1", "g2"), *, level=RECEIPT_WRITTEN, index=3):
    return Accepted(index, "r1", ident, "a", "e", 7, False, gateways, 2, 3, level)


def to_be_seen(ident="m", *, seq=7, readers=2, seen=0, conn="", user="", gateways=("g1",)):
    asker = "" if conn else "r1"
    return Accepted(
        3, asker, ident, "a", "e", seq, False, gateways, 2, 3, RECEIPT_SEEN, conn, user, readers, seen
    )


def saw(user, before, seq, epoch="e"):
    return SeenChanged(1, "a", epoch, user, before, seq)


def said(told):
    """What was told, in short: (whom, level, complete, seen)."""
    return [(router, each.level, each.complete, each.seen) for router, each in told]


def progress(gateway, offset, index=3, life=None, log="l"):
    return Progress(gateway, 0, life or GATEWAYS[gateway][0], LogPosition(log, offset, index))


def receipt(ident="m", gateways=2, written=0, lost=0, complete=True):
    return Receipt(
        ident, "a", "e", 7, False, 2, 3, gateways, written, lost, complete, "", RECEIPT_WRITTEN, -1, 0
    )


@pytest.mark.parametrize("effect", [accepted(level=RECEIPT_ACCEPTED), accepted(gateways=())])
def test_where_nothing_is_waited_for_the_receipt_is_complete_at_once(effect):
    """It asks for no more than its place, or nobody is there."""
    receipts = Receipts()
    told = receipts.accepted(effect, 40, GATEWAYS, 0.0)
    ((router, each),) = told
    assert (router, each.gateways, each.complete) == ("r1", len(effect.gateways), True)
    assert each.level == effect.level
    assert (len(receipts), receipts.ask(0.0)) == (0, [])


def test_a_receipt_is_complete_with_the_last_gateway_that_was_told():
    """At its place or beyond; a gateway that says so twice counts once."""
    receipts = Receipts()
    assert receipts.accepted(accepted(), 40, GATEWAYS, 0.0) == []
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
    assert receipts.accepted(accepted("m1"), 40, GATEWAYS, 0.0) == []
    assert receipts.accepted(accepted("m2"), 41, GATEWAYS, 0.0) == [("r1", receipt("m2", complete=False))]
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


def test_a_message_is_seen_by_as_many_users_as_were_there():
    """Each counts once, by the word that first takes in its number; and it has to be written, too."""
    receipts = Receipts()
    assert receipts.accepted(to_be_seen(), 40, GATEWAYS, 0.0) == []
    assert receipts.saw(saw("ann", 0, 6)) == []
    assert receipts.saw(saw("ann", 6, 9)) == []
    assert receipts.saw(saw("ann", 9, 12)) == []
    assert receipts.saw(saw("bob", 0, 7, "another")) == []
    assert receipts.saw(saw("bob", 0, 7)) == []
    assert said(receipts.progress(progress("g1", 40), "l")) == [("r1", RECEIPT_SEEN, True, 2)]
    assert len(receipts) == 0


def test_only_what_was_not_seen_before_is_looked_at():
    """Messages behind those that are seen, and those that were, are left alone."""
    receipts = Receipts()
    for seq in (3, 5, 7, 9):
        receipts.accepted(to_be_seen(f"m{seq}", seq=seq, readers=1), 40, {}, 0.0)
    told = receipts.saw(saw("ann", 3, 7))
    assert [each.id for _, each in told] == ["m5", "m7"]
    assert [each.id for _, each in receipts.saw(saw("bob", 0, 99))] == ["m3", "m9"]


def test_a_client_is_told_first_that_it_is_written():
    """Its own seeing it does not count."""
    receipts = Receipts()
    effect = to_be_seen(conn="g2~1", user="ann", readers=1)
    assert receipts.accepted(effect, 40, GATEWAYS, 0.0) == []
    assert receipts.saw(saw("ann", 0, 7)) == []
    assert said(receipts.progress(progress("g1", 40), "l")) == [("", RECEIPT_WRITTEN, True, 0)]
    assert said(receipts.saw(saw("bob", 0, 7))) == [("", RECEIPT_SEEN, True, 1)]


def test_a_client_is_told_both_where_nobody_is_there():
    """At once."""
    told = Receipts().accepted(to_be_seen(conn="g2~1", readers=0, gateways=()), 40, GATEWAYS, 0.0)
    assert said(told) == [("", RECEIPT_WRITTEN, True, 0), ("", RECEIPT_SEEN, True, 0)]


def test_a_repeat_of_what_all_have_seen_is_complete():
    """The fold knows how many have."""
    receipts = Receipts()
    assert receipts.accepted(to_be_seen(seen=2), 40, GATEWAYS, 0.0) == []
    assert said(receipts.progress(progress("g1", 40), "l")) == [("r1", RECEIPT_SEEN, True, 2)]


def test_users_are_waited_for_longer_than_gateways():
    """What waits for users does not hold back what waits for gateways."""
    receipts = Receipts(patience_s=5.0)
    receipts.accepted(to_be_seen("m1"), 40, GATEWAYS, 0.0)
    receipts.accepted(accepted("m2"), 41, GATEWAYS, 0.0)
    receipts.saw(saw("ann", 0, 7))
    assert [each.id for _, each in receipts.expire(5.0)] == ["m2"]
    assert said(receipts.expire(SEEN_PATIENCE_S)) == [("r1", RECEIPT_SEEN, False, 1)]
    assert receipts.saw(saw("bob", 0, 7)) == []
    assert (len(receipts), receipts.ask(99.0)) == (0, [])


def test_clients_leave_half_of_the_places_to_backends():
    """One that has no place is told so at once."""
    receipts = Receipts(count=4)
    for number in range(2):
        assert receipts.accepted(to_be_seen(f"m{number}", conn="g2~1"), 40, GATEWAYS, 0.0) == []
    assert said(receipts.accepted(to_be_seen("m3", conn="g2~1"), 41, GATEWAYS, 0.0)) == [
        ("", RECEIPT_SEEN, False, 0)
    ]
    assert receipts.accepted(to_be_seen("m4"), 42, GATEWAYS, 0.0) == []
