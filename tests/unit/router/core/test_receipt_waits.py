"""ReceiptWaits: each waiter gets one answer, the receipt or none in time."""

from router.core.receipt_waits import ReceiptWaits
from warren.envelope import Receipt


def receipt(ident, room="a", level=2):
    return Receipt(ident, room, "e", 1, False, 1, 1, 1, level=level)


def test_all_who_wait_for_a_message_get_its_receipt_once():
    """Those of the same id in another room, of another id, or who want to know more, wait on."""
    waits = ReceiptWaits()
    asked = (("a", "m", 2, 1), ("a", "m", 2, 2), ("b", "m", 2, 3), ("a", "n", 2, 4), ("a", "m", 3, 5))
    for room, ident, level, waiter in asked:
        assert waits.expect(room, ident, level, waiter, 5.0)
    assert waits.take(receipt("m")) == [1, 2]
    assert waits.take(receipt("m")) == []
    assert waits.take(receipt("m", level=3)) == [5]
    assert len(waits) == 2


def test_who_has_waited_for_long_enough_waits_no_longer():
    """Whoever waits for the same message longer gets the receipt."""
    waits = ReceiptWaits()
    waits.expect("a", "m", 2, 1, 5.0)
    waits.expect("a", "m", 2, 2, 9.0)
    assert waits.expire(4.9) == []
    assert waits.expire(5.0) == [("a", "m", 1)]
    assert waits.take(receipt("m")) == [2]
    assert waits.expire(99.0) == []


def test_beyond_the_bound_nobody_is_taken():
    """Until one of those who wait has gone."""
    waits = ReceiptWaits(count=1)
    assert waits.expect("a", "m", 2, 1, 5.0)
    assert not waits.expect("a", "m", 2, 2, 5.0)
    waits.take(receipt("m"))
    assert waits.expect("a", "m", 2, 2, 5.0)
