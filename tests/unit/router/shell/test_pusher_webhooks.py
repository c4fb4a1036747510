"""Webhooks, carried out: one queue, one request at a time for each webhook, nowhere else than allowed."""

import asyncio
import json
import socket
from types import SimpleNamespace

import pytest
import pytest_asyncio
from tests.support.eventually import eventually
from tests.support.router_context import router_context
from tests.support.scripted_bus import ManualClock
from tests.support.webhooks import WebhookBackend

from router.core.webhook_addresses import networks_of
from router.shell import pusher_webhooks
from router.shell.pusher_webhooks import Forbidden, GuardedResolver, PusherWebhooks
from warren.pusher.apps import App, Apps, Webhook

SECRET = "7ad3773142a6692b25b8"
HERE = networks_of(["127.0.0.0/8"])


class Queue:
    """A bus of which a test is the queue."""

    def __init__(self):
        self.deliver = None
        self.subscribed = 0
        self.closed = 0

    def watch(self, *_):
        """Nobody is told whether it is up."""

    async def subscribe(self, source, on_delivery, *, prefetch, on_lost):
        self.subscribed += 1
        self.source, self.deliver, self.lost, self.prefetch = source(), on_delivery, on_lost, prefetch
        return self

    async def close(self):
        self.closed += 1


class Delivery:
    def __init__(self, body, key="room.joined"):
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.routing_key = key
        self.acked = 0

    def ack(self):
        self.acked += 1


class Source:
    def __init__(self, *apps):
        self.apps = Apps(apps)

    def __bool__(self):
        return True


def joined(ident="e1", room="pusher:shop:news"):
    return {"event_id": ident, "event": "room.joined", "room": room, "user": "u", "members": 1, "at": 0}


def app(url):
    return App(
        id="shop", key="k", secret=(SECRET,), webhooks=(Webhook(url, ("channel_occupied", "client_event")),)
    )


class Rig:
    def __init__(self, url, networks=HERE):
        self.bus, self.clock = Queue(), ManualClock(5_000_000, now=1.0)
        self.context = router_context(self.bus, clock=self.clock)
        self.source = Source(app(url))
        self.webhooks = PusherWebhooks(self.context, self.source, networks)

    async def begin(self):
        await self.webhooks.start()
        await eventually(lambda: self.bus.deliver is not None)

    def counted(self, reason):
        return reason.encode() in self.context.metrics.render()[0]


@pytest_asyncio.fixture
async def backend():
    async with WebhookBackend() as backend:
        yield backend


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(pusher_webhooks, "LOOK_S", 0.01)


async def test_what_comes_is_told_and_then_acknowledged(backend):
    """And what nobody can read is counted, and holds up nothing."""
    rig = Rig(backend.url)
    await rig.begin()
    queue, bindings = rig.bus.source.queue, rig.bus.source.bindings
    assert queue.arguments["x-single-active-consumer"] is True
    assert {binding.key for binding in bindings} == {"room.joined", "room.left", "pusher.#"}
    rubbish = Delivery(b"{")
    rig.bus.deliver(rubbish)
    delivery = Delivery(joined())
    rig.bus.deliver(delivery)
    event = {
        "event_id": "1",
        "event": "client_event",
        "app": "shop",
        "channel": "private-a",
        "name": "client-x",
    }
    rig.bus.deliver(Delivery(event, "pusher.client_event"))
    await eventually(lambda: len(backend.events) == 2)
    await eventually(lambda: delivery.acked == 1)
    assert (rubbish.acked, rig.counted("webhook_event_malformed")) == (1, True)
    await rig.webhooks.stop()
    assert rig.bus.closed == 1


async def test_what_is_not_taken_stays_unacknowledged_and_is_tried_again(backend):
    """Also where nobody listens; the log has the host, and no signature."""
    backend.status = 500
    rig = Rig(backend.url)
    await rig.begin()
    delivery = Delivery(joined())
    rig.bus.deliver(delivery)
    await eventually(lambda: rig.counted("webhook_not_taken"))
    assert delivery.acked == 0
    backend.status = 200
    rig.clock.advance(2.0)
    await eventually(lambda: delivery.acked == 1)
    assert len(backend.requests) == 2
    await rig.webhooks.stop()


async def test_nothing_is_sent_where_webhooks_may_not_go(backend):
    """By an address, or by a name that leads there; nor where a redirect leads."""
    for url, networks in ((backend.url, ()), (backend.url.replace("127.0.0.1", "localhost"), ())):
        rig = Rig(url, networks)
        await rig.begin()
        rig.bus.deliver(Delivery(joined()))
        await eventually(lambda rig=rig: rig.counted("webhook_not_taken"))
        await rig.webhooks.stop()
    assert backend.requests == []
    backend.status = 302
    rig = Rig(backend.url)
    await rig.begin()
    rig.bus.deliver(Delivery(joined()))
    await eventually(lambda: rig.counted("webhook_not_taken"))
    await rig.webhooks.stop()
    assert len(backend.requests) == 1


async def test_the_queue_is_there_while_an_app_has_webhooks(backend):
    """As the file says at the moment."""
    rig = Rig(backend.url)
    rig.source.apps = Apps()
    await rig.webhooks.start()
    await asyncio.sleep(0.05)
    assert rig.bus.subscribed == 0
    rig.source.apps = Apps([app(backend.url)])
    await eventually(lambda: rig.bus.subscribed == 1)
    rig.source.apps = Apps()
    await eventually(lambda: rig.bus.closed == 1)
    await rig.webhooks.stop()


async def test_names_are_given_out_with_allowed_addresses_alone():
    """Where there are only others it is refused."""
    resolver = GuardedResolver(networks_of(["10.0.0.0/8"]))

    async def resolve(host, port, family):
        return [{"host": each} for each in ("127.0.0.1", "10.0.0.5", "169.254.169.254")][
            : 1 if host == "bad" else 3
        ]

    resolver._resolver = SimpleNamespace(resolve=resolve)
    assert [each["host"] for each in await resolver.resolve("good", 80, socket.AF_INET)] == ["10.0.0.5"]
    with pytest.raises(Forbidden):
        await resolver.resolve("bad", 80, socket.AF_INET)
