"""PeerOutbox: each router gets what it is told, in order, or it is dropped and counted."""

import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ScriptedBus

from router.shell import peer_outbox
from router.shell.peer_outbox import PeerOutbox
from warren.envelope import ReadAnswer, decode
from warren.errors import Unroutable


class Harness:
    def __init__(self):
        self.bus = ScriptedBus()
        self.context = router_context(self.bus)
        self.outbox = PeerOutbox(self.context)

    def said(self, router):
        published = [each for each in self.bus.published if each.key == router]
        return [envelope.ref for each in published for envelope in decode(each.body)]


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    harness.bus.release()
    await harness.outbox.close()


async def test_what_is_said_while_a_publish_is_under_way_goes_together(harness):
    """To the inbox of that router alone, in its order, and not kept by the broker."""
    harness.bus.held = True
    for number in range(5):
        harness.outbox.tell("r2", ReadAnswer(number, b""))
    harness.outbox.tell("r3", ReadAnswer(9, b""))
    await eventually(lambda: len(harness.bus.published) == 2)
    harness.bus.release()
    await eventually(lambda: harness.said("r2") == [0, 1, 2, 3, 4])
    assert harness.said("r3") == [9]
    first = harness.bus.published[0]
    assert (first.exchange, first.persistent, first.mandatory) == ("warren.routers", False, True)


async def test_what_reaches_nobody_is_counted_and_holds_up_nothing(harness):
    """What is said later goes."""
    harness.bus.script("r2", Unroutable())
    harness.outbox.tell("r2", ReadAnswer(1, b""))
    counted = harness.context.metrics.registry.get_sample_value
    dropped = {"reason": "peer_message_dropped"}
    await eventually(lambda: counted("warren_router_rejected_total", dropped) == 1)
    harness.outbox.tell("r2", ReadAnswer(2, b""))
    await eventually(lambda: 2 in harness.said("r2"))


async def test_routers_of_former_lives_are_forgotten(harness, monkeypatch):
    """However many there have been."""
    monkeypatch.setattr(peer_outbox, "ROUTERS", 4)
    for number in range(50):
        harness.outbox.tell(f"r{number}", ReadAnswer(1, b""))
        await eventually(lambda: harness.said(f"r{number}"))  # noqa: B023
    assert len(harness.outbox._batchers) <= 5
