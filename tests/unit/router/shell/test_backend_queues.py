"""What the queues of backends hold."""

from tests.support.scripted_bus import Delivered

from router.shell.backend_queues import AnswerQueue, NotificationQueue
from warren.bus import Properties
from warren.envelope import Publish
from warren.topology import Topology

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LIST = Properties("application/vnd.warren.notifications+json")


def test_a_notification_is_addressed_by_its_key() -> None:
    """And a list is opened by whoever passes it on."""
    queue = NotificationQueue()
    delivery = Delivered(
        b"1", "user.ann", Properties(type="deal", message_id="m1", headers={"traceparent": TRACE, "key": "k"})
    )
    found = queue.parsed(delivery, 7, 100)
    assert found.made == Publish("@ann", "deal", b"1", 7, id="m1", key="k")
    assert found.traceparent == TRACE
    assert (queue.is_list(Delivered(b"[]", "x", LIST)), queue.is_list(delivery)) == (True, False)
    assert queue.queue(Topology()).name == "warren.notify"


def test_an_answer_is_addressed_by_its_correlation() -> None:
    """Whatever its routing key, its type and its own id say."""
    queue = AnswerQueue()
    headers = {"n": 2, "more": True, "traceparent": 5}
    delivery = Delivered(b"1", "room.a", Properties(None, "x", "y", "ann~r1", headers=headers))
    found = queue.parsed(delivery, 7, 100)
    assert found.made == Publish("@ann", "RESPONSE", b"1", 7, id="~/2+/r1")
    assert found.traceparent == ""
    assert not queue.is_list(Delivered(b"[]", "x", LIST))
    assert queue.queue(Topology()).name == "warren.rpc.replies"
