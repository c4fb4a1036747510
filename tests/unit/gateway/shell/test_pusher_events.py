"""What a gateway tells webhooks, on its way to the broker."""

import asyncio

import pytest
from tests.support.eventually import eventually

from gateway.shell import pusher_events
from gateway.shell.pusher_events import PusherEvents
from warren.errors import BusUnavailable, Nacked
from warren.metrics import GatewayMetrics
from warren.pusher.gateway_events import GatewayEvent
from warren.topology import Topology


class Bus:
    def __init__(self):
        self.published = []
        self.failures = []
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, exchange, key, body, properties):
        await self.open.wait()
        if self.failures:
            raise self.failures.pop()
        self.published.append((exchange, key, body, properties.message_id))


def event(number):
    return GatewayEvent(f"g~1.{number}", "client_event", "shop", "private-a", "client-x", "1")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(pusher_events, "AGAIN_FIRST_S", 0.001)


async def test_each_is_sent_until_the_broker_has_it():
    """Once, on the events exchange, by its own key and id."""
    bus = Bus()
    bus.failures = [BusUnavailable(), Nacked()]
    events = PusherEvents(bus, Topology(), GatewayMetrics())
    for number in range(3):
        events.put(event(number))
    await eventually(lambda: len(bus.published) == 3)
    assert {each[3] for each in bus.published} == {"g~1.0", "g~1.1", "g~1.2"}
    assert {each[:2] for each in bus.published} == {("warren.events", "pusher.client_event")}
    await events.close()


async def test_what_waits_is_bounded(monkeypatch):
    """Beyond that the newest are dropped, and counted."""
    monkeypatch.setattr(pusher_events, "WAITING_COUNT", 5)
    bus, metrics = Bus(), GatewayMetrics()
    bus.open.clear()
    events = PusherEvents(bus, Topology(), metrics)
    for number in range(500):
        events.put(event(number))
    assert b"pusher_event_overflow" in metrics.render()[0]
    bus.open.set()
    await eventually(lambda: len(bus.published) >= 5)
    assert bus.published[0][3] == "g~1.0"
    await events.close()
