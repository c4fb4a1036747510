"""ReceiptReplies: a backend's queue gets one answer under its correlation id."""

import orjson
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock, ScriptedBus

from router.core import receipt_waits
from router.shell.receipt_replies import SEEN_WAIT_S, ReceiptReplies, ReplyAddress
from warren.envelope import Receipt
from warren.errors import Unroutable
from warren.log_entries import RECEIPT_SEEN

ASKER = ReplyAddress("replies", "c1")


class Harness:
    def __init__(self):
        self.bus, self.clock = ScriptedBus(), ManualClock()
        self.context = router_context(self.bus, clock=self.clock)
        self.replies = ReceiptReplies(self.context, 5.0)

    async def answers(self, count=1):
        await eventually(lambda: len(self.bus.published) >= count)
        return [
            (each.exchange, each.key, each.properties.correlation_id, orjson.loads(each.body))
            for each in self.bus.published
        ]


@pytest_asyncio.fixture
async def harness():
    harness = Harness()
    yield harness
    await harness.replies.close()


async def test_a_receipt_goes_to_the_queue_that_the_backend_named(harness):
    """What is not known is left out, and so is an id that the backend did not give."""
    harness.replies.expect("@ann", "~r1.1", ASKER, 2)
    harness.replies.take(Receipt("~r1.1", "@ann", "e", 7, False, 1, -1, 2, 1, 1, level=2))
    harness.replies.take(Receipt("~r1.1", "@ann", "e", 7, False, 1, -1, 2, 1, 1, level=2))
    (answer,) = await harness.answers()
    assert answer == (
        "",
        "replies",
        "c1",
        {"id": "", "room": "@ann", "epoch": "e", "seq": 7, "duplicate": False, "users": 1}
        | {"gateways": 2, "written": 1, "lost": 1, "complete": True},
    )
    assert harness.bus.published[0].properties.type == "receipt"


async def test_an_answer_comes_in_time_also_where_nothing_is_known(harness):
    """It says that it is not complete; a receipt that comes later is not told."""
    harness.replies.expect("a", "m", ASKER, 2)
    harness.clock.advance(4.9)
    harness.replies.tick()
    harness.clock.advance(0.2)
    harness.replies.tick()
    harness.replies.take(Receipt("m", "a", "e", 7, False, 1, 1, 1, level=2))
    (answer,) = await harness.answers()
    assert answer[3] == {"id": "m", "room": "a", "complete": False}


async def test_who_waits_for_users_is_told_how_many_have_seen_it(harness):
    """And waits for longer than one who waits for gateways."""
    harness.replies.expect("a", "m", ASKER, RECEIPT_SEEN)
    harness.replies.expect("a", "n", ASKER, RECEIPT_SEEN)
    harness.clock.advance(SEEN_WAIT_S - 0.1)
    harness.replies.tick()
    harness.replies.take(
        Receipt("m", "a", "e", 7, False, 2, 2, 1, 1, 0, complete=False, level=3, readers=2, seen=1)
    )
    harness.clock.advance(0.2)
    harness.replies.tick()
    told = [answer[3] for answer in await harness.answers(2)]
    assert (told[0]["readers"], told[0]["seen"], told[0]["complete"]) == (2, 1, False)
    assert told[1] == {"id": "n", "room": "a", "complete": False}


async def test_a_refused_notification_is_answered_with_the_reason(harness):
    """The backend need not look at the dead letters."""
    harness.replies.refused(ASKER, "too large: 9 bytes, at most 5")
    (answer,) = await harness.answers()
    assert answer[3] == {"complete": True, "refused": "too large: 9 bytes, at most 5"}


async def test_beyond_the_bound_a_backend_is_told_so_at_once(harness, monkeypatch):
    """Nothing waits for it."""
    harness.replies._waits = receipt_waits.ReceiptWaits(count=0)
    harness.replies.expect("a", "m", ASKER, 2)
    (answer,) = await harness.answers()
    assert answer[3] == {"id": "m", "room": "a", "complete": False, "reason": "overloaded"}


async def test_a_queue_that_is_gone_loses_its_answer_and_no_other(harness):
    """It is counted."""
    harness.bus.script("gone", Unroutable())
    harness.replies.refused(ReplyAddress("gone"), "why")
    harness.replies.refused(ASKER, "why")
    await eventually(lambda: [each.key for each in harness.bus.published].count("replies") == 1)
    counted = harness.context.metrics.registry.get_sample_value
    assert counted("warren_router_rejected_total", {"reason": "receipt_dropped"}) == 1


async def test_no_answer_goes_to_a_queue_of_warrens_own(harness):
    """Whoever may notify could else have routers write into the logs for it."""
    topology = harness.context.topology
    for queue in (topology.log(0).name, topology.notify, topology.gateway_queue("g", "n")[0].name):
        harness.replies.refused(ReplyAddress(queue), "why")
        harness.replies.expect("a", queue, ReplyAddress(queue), 2)
        harness.replies.take(Receipt(queue, "a", "e", 7, False, 1, 1, 1, level=2))
    harness.replies.refused(ASKER, "why")
    assert [answer[1] for answer in await harness.answers()] == ["replies"]
    counted = harness.context.metrics.registry.get_sample_value
    assert counted("warren_router_rejected_total", {"reason": "receipt_dropped"}) == 6
