"""The service that embedded mode brings."""

from __future__ import annotations

from tests.support.eventually import eventually

from embedded.echo_service import EchoService
from warren.bus import Delivery, Properties, Source
from warren.bus.memory.bus import MemoryBroker, MemoryBus
from warren.topology import Binding, Queue, Topology

TOPOLOGY = Topology(shards=1)


async def test_a_request_is_answered_with_what_it_asked():
    """To the queue that it names, under its correlation; where nobody is there any more nothing comes of
    it.
    """
    broker = MemoryBroker()
    bus, asker = MemoryBus(broker, TOPOLOGY), MemoryBus(broker, TOPOLOGY)
    await bus.start()
    await asker.start()
    answers: list[Delivery] = []

    def answered(delivery: Delivery) -> None:
        answers.append(delivery)
        delivery.ack()

    mine = Source(Queue("mine", "exclusive"), (Binding(TOPOLOGY.replies, "mine", "mine"),))
    await asker.subscribe(lambda: mine, answered, prefetch=8)
    echo = EchoService(bus, TOPOLOGY)
    await echo.start()
    gone = Properties(correlation_id="0", reply_to="gone")
    await asker.publish(TOPOLOGY.rpc, "echo", b"x", gone, mandatory=True)
    asked = Properties("application/octet-stream", correlation_id="1", reply_to="mine")
    await asker.publish(TOPOLOGY.rpc, "echo", b"\0", asked, mandatory=True)
    await eventually(lambda: answers)
    (answer,) = answers
    assert (answer.body, answer.properties.correlation_id) == (b"\0", "1")
    assert answer.properties.content_type == "application/octet-stream"
    await echo.stop()
    await bus.close()
    await asker.close()
