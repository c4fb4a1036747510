"""DeliverySettlement: a delivery of many parts is settled once, after the last of them."""

from tests.support.scripted_bus import Delivered

from router.shell.delivery_settlement import DeliverySettlement


def test_the_last_part_acknowledges():
    """Not before, and a delivery of no parts at once."""
    delivery, empty = Delivered(b""), Delivered(b"")
    DeliverySettlement(empty, 0)
    assert empty.fate == "acked"
    settling = DeliverySettlement(delivery, 2)
    settling.ack()
    assert delivery.fate == ""
    settling.ack()
    assert delivery.fate == "acked"


def test_one_rejected_part_rejects_the_whole_after_the_last():
    """So the broker sets it aside; the order of the parts does not matter."""
    for rejected in range(3):
        delivery = Delivered(b"")
        settling = DeliverySettlement(delivery, 3)
        for part in range(3):
            assert delivery.fate == ""
            if part == rejected:
                settling.reject(requeue=False)
            else:
                settling.ack()
        assert delivery.fate == "rejected"
