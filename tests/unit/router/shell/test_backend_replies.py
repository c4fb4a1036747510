"""BackendReplies: an answer reaches the queue that was named, and no queue of Warren's own."""

import pytest
from tests.support.scripted_bus import ScriptedBus

from router.shell.backend_replies import BackendReplies
from warren.bus import Properties
from warren.errors import BusUnavailable, NotConfirmed, Unroutable, WarrenError
from warren.topology import Topology

TOPOLOGY = Topology(shards=2)
RESULT = Properties(type="result", correlation_id="c1")


async def test_an_answer_goes_by_the_default_exchange():
    """To the queue that the backend named, where it must arrive."""
    bus = ScriptedBus()
    assert await BackendReplies(bus, TOPOLOGY).send("app.answers", b"{}", RESULT)
    (sent,) = bus.published
    assert (sent.exchange, sent.key, sent.properties, sent.mandatory) == ("", "app.answers", RESULT, True)


async def test_who_is_answered_on_its_channel_can_not_be_missed():
    """RabbitMQ returns a mandatory answer by direct reply-to, though it has delivered it."""
    bus = ScriptedBus()
    assert await BackendReplies(bus, TOPOLOGY).send("amq.rabbitmq.reply-to.g1h2", b"{}", RESULT)
    assert [sent.mandatory for sent in bus.published] == [False]


@pytest.mark.parametrize("error", [Unroutable(), NotConfirmed("?"), BusUnavailable("away")])
async def test_an_answer_that_does_not_arrive_is_lost(error: WarrenError):
    """It is not sent again."""
    bus = ScriptedBus()
    bus.script("gone", error)
    assert not await BackendReplies(bus, TOPOLOGY).send("gone", b"{}", RESULT)


@pytest.mark.parametrize(
    "queue",
    [
        "",
        TOPOLOGY.log(0).name,
        TOPOLOGY.notify,
        TOPOLOGY.rpc_replies,
        TOPOLOGY.gateway_queue("g", "n")[0].name,
        TOPOLOGY.replies_queue("g", "n")[0].name,
    ],
)
async def test_nothing_goes_to_a_queue_of_warrens_own(queue: str):
    """Whoever may ask could else have routers write into the logs for it."""
    bus = ScriptedBus()
    replies = BackendReplies(bus, TOPOLOGY)
    assert not replies.may_reply(queue)
    assert not await replies.send(queue, b"{}", RESULT)
    assert bus.published == []
